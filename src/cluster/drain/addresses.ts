import type { Address } from 'node:cluster'
import type { Server } from 'node:net'
import { tapListen } from './taps'

/** Where a worker no longer listens: a port, or the file of a socket or pipe. */
export type Place = number | string

/** @returns An address as Node reports it to the primary; the same text for all workers that listen there. */
export function addressInWords({ addressType, address, port }: Address): string {
  // -1 stands for a socket file or a pipe. Node's types leave out -1, null and undefined.
  if ((addressType as number) === -1) return address
  const host = (address as string | null) ?? '*'
  const where = host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
  return typeof addressType === 'number' ? where : `${addressType} ${where}`
}

/** Workers report places of TCP servers and of socket files, never of UDP sockets. */
export function isAt(address: string, place: Place): boolean {
  if (typeof place === 'string') return address === place
  return !address.startsWith('udp') && address.endsWith(`:${place}`)
}

/**
 * Reports when a server of this process has closed and no other one listens there. Node itself reports to the primary only
 * where a worker begins to listen.
 */
export function watchShutPlaces(onShut: (place: Place) => void): void {
  const known = new WeakSet<Server>()
  const open = new Map<Server, Place>()
  tapListen((server) => {
    if (known.has(server)) return
    known.add(server)
    server.on('listening', () => {
      const place = placeOf(server)
      if (place !== undefined) open.set(server, place)
    })
    server.on('close', () => {
      const place = open.get(server)
      open.delete(server)
      if (place !== undefined && ![...open.values()].includes(place)) onShut(place)
    })
  })
}

function placeOf(server: Server): Place | undefined {
  const address = server.address()
  return typeof address === 'string' ? address : address?.port
}
