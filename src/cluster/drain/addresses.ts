import type { Socket } from 'node:dgram'
import type { AddressInfo, Server } from 'node:net'
import { setImmediate } from '../../base/time'
import { isThroughPrimary, tapBind, tapListen } from './taps'

/** Is told of addresses as text, such as `127.0.0.1:80`: the same text in all workers that listen on the address. */
export interface AddressObserver {
  /** A server or UDP socket of this process has begun to listen on the address. */
  listening(address: string): void
  /** No server or UDP socket of this process listens on the address any more. */
  shut(address: string): void
}

/**
 * Reports each address on which this process starts or stops listening. Node's own report to the primary is not used: it
 * is an ordinary message, so in an application that forwards messages of its users to the primary, users can forge it.
 *
 * A server that does not listen through the primary (one with `exclusive: true`, for example) is left out, as in Node's own
 * report.
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
      // Node's own listener for this event runs later, and informs the primary. Wait for it, so that in the primary
      // `cluster` emits 'listening' to the application before a replacement counts as ready.
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

/** Returns the address; `null` if an earlier listener has closed the socket, as `address()` of a closed UDP socket throws. */
function addressOf(endpoint: Server | Socket): AddressInfo | string | null {
  try {
    return endpoint.address()
  } catch {
    return null
  }
}
