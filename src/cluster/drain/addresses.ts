import type { Address } from 'node:cluster'
import type { Server } from 'node:net'
import { tapListen } from './taps'

/** A place at which a worker no longer listens: a port, or the path of a socket file or pipe. */
export type Place = number | string

/** Longest name that is accepted: longer than any host name, path of a socket file (108) and name of a pipe (256). */
const MAX_NAME_LENGTH = 512

/** Address that a worker reports when it begins to listen. Node passes its fields on unchecked. */
export type ReportedAddress = { readonly [Field in keyof Address]?: unknown }

/**
 * @returns An address in the form in which Node reports it to the primary; the same text for all workers that listen
 * there. `undefined` for one that no Node reports: users can forge one if the application forwards their messages to
 * the primary.
 */
export function addressInWords({ addressType, address, port }: ReportedAddress): string | undefined {
  const host = address ?? '*'
  if (typeof host !== 'string' || host.length > MAX_NAME_LENGTH) return undefined
  // As `addressType`, -1 stands for a socket file or a pipe, null for a descriptor that was passed in.
  if (addressType === -1) return typeof address === 'string' ? host : undefined
  if (!Number.isInteger(port)) return undefined
  const where = host.includes(':') ? `[${host}]:${String(port)}` : `${host}:${String(port)}`
  if (addressType === 4 || addressType === 6 || addressType === null) return where
  return addressType === 'udp4' || addressType === 'udp6' ? `${addressType} ${where}` : undefined
}

/** Workers report the places of TCP servers and of socket files, never of UDP sockets. */
export function isAt(address: string, place: Place): boolean {
  if (typeof place === 'string') return address === place
  return !address.startsWith('udp') && address.endsWith(`:${place}`)
}

/**
 * Reports when a server of this process has closed and no other one listens at its place. Node itself reports to the
 * primary only the places at which a worker begins to listen.
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
