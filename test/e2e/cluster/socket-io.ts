import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import type { Cleaner } from './http-client'
import type { RunningCluster } from './running-cluster'

export interface ClientsResult {
  readonly acknowledged: readonly string[]
  /** Sent and never acknowledged. */
  readonly pending: number
  /** Messages that came back, by way of the adapter. */
  readonly said: number
  readonly connects: number
  readonly workers: number
}

/** Clients of socket.io in a process of their own. */
export class Clients {
  readonly #process
  #output = ''

  /** @param pauseMs - Between two messages of a client, on average. */
  constructor(t: Cleaner, port: number, count: number, pauseMs: number) {
    const program = `${__dirname}/programs/socket-io-clients.js`
    this.#process = spawn(process.execPath, [program, ...[port, count, pauseMs].map(String)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    this.#process.stdout.setEncoding('utf8').on('data', (text: string) => (this.#output += text))
    t.after(() => this.#process.kill('SIGKILL'))
  }

  async end(): Promise<ClientsResult> {
    this.#process.kill('SIGTERM')
    if (this.#process.exitCode === null) await once(this.#process, 'close')
    return JSON.parse(this.#output.trimEnd().split('\n').at(-1) ?? '') as ClientsResult
  }
}

/** Every client came back, and a worker has heard each message that was acknowledged. */
export function checkNothingLost(running: RunningCluster, result: ClientsResult): void {
  assert.equal(result.pending, 0)
  const heard = new Set(running.said.map((line) => line['heard']))
  const lost = result.acknowledged.filter((id) => !heard.has(id))
  assert.deepEqual(lost, [])
}
