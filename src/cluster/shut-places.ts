import type { Server } from 'node:net'
import type { Place } from './address'
import { tapListen } from './doors'

/**
 * Tells when a server of this process has closed and nothing else listens there. The primary is told by Node only where
 * a worker begins to listen.
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
