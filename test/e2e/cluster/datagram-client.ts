import dgram from 'node:dgram'
import { once } from 'node:events'
import { setTimeout as wait } from 'node:timers/promises'
import type { Cleaner } from './http-client'

/** Sends numbered datagrams, and notes which were answered. */
export class Sender {
  readonly #socket = dgram.createSocket('udp4')
  readonly answered = new Set<string>()
  sent = 0

  constructor(
    t: Cleaner,
    private readonly port: number,
  ) {
    t.after(() => this.#socket.close())
    this.#socket.on('message', (message) => this.answered.add(String(message)))
  }

  async until(isOver: () => boolean): Promise<void> {
    while (!isOver()) {
      this.#socket.send(String(this.sent++), this.port, '127.0.0.1')
      await wait(5)
    }
  }
}

/** A port that is free now. */
export async function freePort(): Promise<number> {
  const probe = dgram.createSocket('udp4').bind(0, '127.0.0.1')
  await once(probe, 'listening')
  const { port } = probe.address()
  probe.close()
  await once(probe, 'close')
  return port
}
