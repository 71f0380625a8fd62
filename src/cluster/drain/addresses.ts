import type { Socket } from 'node:dgram'
import type { AddressInfo, Server } from 'node:net'
import { setImmediate } from '../../base/time'
import { isThroughPrimary, tapBind, tapListen } from './taps'

/** Takes addresses in words, such as `127.0.0.1:80`: the same text in all workers that listen there. */
export interface AddressObserver {
  listening(address: string): void
  /** Nothing listens there any more. */
  shut(address: string): void
}

/**
 * Reports where this process listens from now on, and where it no longer does. Node's own report to the primary is a message
 * like any other, which an application that forwards messages of its users can forge.
 *
 * What listens by itself, not through the primary, is left out, as Node does: a port for each worker, for example.
 */
export function watchAddresses(observer: AddressObserver): void {
  const shared = new WeakMap<Server | Socket, boolean>()
  const open = new Map<Server | Socket, string>()
  const watch = (endpoint: Server | Socket, target: unknown, protocol = ''): void => {
    const isKnown = shared.has(endpoint)
    shared.set(endpoint, isThroughPrimary(target))
    if (isKnown) return
    endpoint.on('listening', () => {
      const address = shared.get(endpoint) ? addressInWords(endpoint, protocol) : undefined
      if (address === undefined) return
      open.set(endpoint, address)
      // Node's own report is sent by a later listener of this event. After it, for the application's sake: by the time that a
      // replacement counts as ready, cluster has emitted 'listening'.
      setImmediate(() => {
        if (open.get(endpoint) === address) observer.listening(address)
      })
    })
    endpoint.on('close', () => {
      const address = open.get(endpoint)
      open.delete(endpoint)
      if (address !== undefined && ![...open.values()].includes(address)) observer.shut(address)
    })
  }
  tapListen(watch)
  tapBind((socket, target) => watch(socket, target, 'udp '))
}

function addressInWords(endpoint: Server | Socket, protocol: string): string | undefined {
  const address = addressOf(endpoint)
  if (typeof address !== 'object' || address === null) return address ?? undefined
  const host = address.address.includes(':') ? `[${address.address}]` : address.address
  return `${protocol}${host}:${address.port}`
}

/** An earlier listener may have closed it: a UDP socket throws then. */
function addressOf(endpoint: Server | Socket): AddressInfo | string | null {
  try {
    return endpoint.address()
  } catch {
    return null
  }
}
