import { spawn } from 'node:child_process'
import { once } from 'node:events'
import http from 'node:http'
import type { TestContext } from 'node:test'

/** How long a test waits for what should happen, ms. */
export const PATIENCE_MS = Number(process.env['CLUSTER_PATIENCE_MS'] ?? 60_000)

export interface Answer {
  readonly status: number
  readonly body: string
  /** The server said that this is the connection's last response. */
  readonly isLast: boolean
  /** Process id of the worker that answered. */
  readonly pid: number
}

/** One user with one keep-alive connection. */
export class User {
  readonly #agent = new http.Agent({ keepAlive: true, maxSockets: 1 })

  constructor(
    t: TestContext,
    private readonly port: number,
  ) {
    t.after(() => this.#agent.destroy())
  }

  /** Ends the connection. */
  leave(): void {
    this.#agent.destroy()
  }

  get(path: string): Promise<Answer> {
    return this.send(path, 'GET', () => undefined)
  }

  /** @param write - Writes the request's body; ends it when it returns, unless it returns a promise to wait for. */
  send(path: string, method: string, write: (req: http.ClientRequest) => unknown): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const to = { host: '127.0.0.1', port: this.port, path, method }
      const options = { ...to, agent: this.#agent, timeout: PATIENCE_MS }
      const req = http.request(options, (res) => {
        let body = ''
        res.setEncoding('utf8').on('data', (text: string) => (body += text))
        res.on('error', reject)
        res.on('end', () =>
          resolve({
            status: res.statusCode ?? 0,
            body,
            isLast: res.headers.connection === 'close',
            pid: Number(/(\d+)$/.exec(body)?.[1]),
          }),
        )
      })
      req.on('error', reject)
      req.on('timeout', () =>
        req.destroy(new Error(`no answer to ${method} ${path} within ${PATIENCE_MS} ms`)),
      )
      void Promise.resolve(write(req)).then(() => req.end())
    })
  }
}

export interface LoadResult {
  readonly sent: number
  readonly ok: number
  readonly failed: number
  readonly farewells: number
  readonly workers: number
  readonly why: Record<string, number>
  /** The `x-request-id` of each failed request. */
  readonly failedIds: readonly string[]
}

/** A test, or whoever else cleans up after itself. */
export interface Cleaner {
  after(step: () => unknown): unknown
}

/** The strict client in a process of its own. */
export class Load {
  readonly #client
  #output = ''

  constructor(t: Cleaner, port: number, options: Record<string, unknown>) {
    const client = `${__dirname}/programs/strict-client.js`
    this.#client = spawn(process.execPath, [client, String(port), JSON.stringify(options)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    this.#client.stdout.setEncoding('utf8').on('data', (text: string) => (this.#output += text))
    t.after(() => this.#client.kill('SIGKILL'))
  }

  /** Ends the load now. */
  end(): Promise<LoadResult> {
    this.#client.kill('SIGTERM')
    return this.result()
  }

  async result(): Promise<LoadResult> {
    if (this.#client.exitCode === null) await once(this.#client, 'close')
    return JSON.parse(this.#output) as LoadResult
  }
}
