import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { createServer, type IncomingMessage, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { after, before, type TestContext } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { gunzipSync } from 'node:zlib'
import * as s3 from '@aws-sdk/client-s3'
import { CREDENTIALS, startSwift, type Swift, whyNoSwift } from '../../tools/services/swift.mjs'
import type { App } from '../monitor/app'

/** Dumps when it is told to, and sends. */
export const SENDS = '../../hooks/programs/sends.js'
/** This host, in keys. */
export const host = hostname().replace(/[^A-Za-z0-9._-]/g, '_')

/** Why there is no Swift here, for `skip`; printed. */
export const noSwift = whyNoSwift() ?? false
if (noSwift !== false) console.log(`skipped: ${noSwift}`)

/** The server of a suite, once the suite has begun, and a bucket of its own for each test. */
export interface Service {
  readonly swift: Swift
  newBucket(isThere?: boolean): Promise<Bucket>
}

/** To be called in a suite: starts Swift before its first test, and stops it after the last. */
export function swiftOfSuite(): Service {
  let swift: Swift
  before(async () => {
    swift = await startSwift()
  })
  after(() => swift?.stop())
  let lastBucket = 0
  return {
    get swift() {
      return swift
    },
    async newBucket(isThere = true) {
      const bucket = new Bucket(`evidence-${++lastBucket}`, swift.endpoint)
      if (isThere) await bucket.create()
      return bucket
    },
  }
}

/** A bucket, seen by the test itself. */
export class Bucket {
  readonly #client: s3.S3Client

  constructor(
    readonly name: string,
    endpoint: string,
  ) {
    this.#client = new s3.S3Client({
      ...{ endpoint, region: 'us-east-1', forcePathStyle: true, credentials: { ...CREDENTIALS } },
    })
  }

  async create(): Promise<void> {
    await this.#client.send(new s3.CreateBucketCommand({ Bucket: this.name }))
  }

  async keys(): Promise<string[]> {
    const { Contents = [] } = await this.#client.send(new s3.ListObjectsV2Command({ Bucket: this.name }))
    return Contents.map(({ Key = '' }) => Key).sort()
  }

  async get(Key: string): Promise<{ body: Buffer; metadata: Record<string, string> }> {
    const { Body, Metadata = {} } = await this.#client.send(
      new s3.GetObjectCommand({ Bucket: this.name, Key }),
    )
    return { body: Buffer.from((await Body?.transformToByteArray()) ?? []), metadata: Metadata }
  }

  /** The content of an artefact as it was before it was compressed. */
  async content(key: string): Promise<Buffer> {
    return gunzipSync((await this.get(key)).body)
  }

  /** The bucket for the program: over a road, if there is one. */
  options(endpoint: string, more: object = {}): string {
    return JSON.stringify({
      ...{ bucket: this.name, endpoint, credentials: CREDENTIALS, prefix: 'shop', ...more },
    })
  }
}

/** A way to the server on which the test sees each request, and may do something when one comes. */
export interface Road {
  readonly endpoint: string
  /** Method and path of each request that has come, without the query. */
  readonly requests: string[]
  /** Called with each request before it goes on, as far as it waits for that. */
  onRequest: (line: string, from: IncomingMessage) => unknown
  /** Requests are answered with 503 and do not go on. */
  isThrottled: boolean
}

export async function road(t: TestContext, target: string): Promise<Road> {
  const { hostname: host, port } = new URL(target)
  const server = createServer((incoming, answer) => {
    const line = `${incoming.method} ${incoming.url?.split('?')[0]}`
    opened.requests.push(line)
    void (async () => {
      await opened.onRequest(line, incoming)
      if (opened.isThrottled) {
        incoming.resume()
        answer.writeHead(503, { 'content-type': 'application/xml' })
        answer.end('<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>')
        return
      }
      const { method, url, headers } = incoming
      const onward = request({ host, port, method, path: url, headers }, (response) => {
        answer.writeHead(response.statusCode ?? 500, response.headers).flushHeaders()
        // Swift sends a body with its answer to a HEAD, which no client expects.
        if (method === 'HEAD') answer.end()
        else response.pipe(answer)
      })
      onward.on('error', () => answer.headersSent || answer.destroy())
      incoming.on('error', () => onward.destroy())
      incoming.pipe(onward)
    })()
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const opened: Road = {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests: [],
    onRequest: () => undefined,
    isThrottled: false,
  }
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  return opened
}

/** An artefact that an earlier process has left. @returns Its name. */
export function leave(
  directory: string,
  { pid = 7, ms = 1000, bytes = 200_000, host = hostname(), of = directory, ...left }: Partial<Left> = {},
): string {
  const { name = `memory-${pid}-${ms}.heapsnapshot`, content = randomBytes(bytes) } = left
  writeFileSync(join(directory, name), content, { mode: 0o600 })
  describeIt(directory, name, { host, of, sizeBytes: Buffer.byteLength(content) })
  return name
}

interface Left {
  readonly pid: number
  readonly ms: number
  readonly bytes: number
  readonly host: string
  readonly of: string
  readonly name: string
  readonly content: Buffer | string
}

/** One that is only a link to a file of somebody. @returns Its name. */
export function leaveLink(directory: string, target: string): string {
  const name = 'memory-8-1000.heapsnapshot'
  symlinkSync(target, join(directory, name))
  describeIt(directory, name, { host: hostname(), of: directory, sizeBytes: statSync(target).size })
  return name
}

function describeIt(
  directory: string,
  artefact: string,
  { host, of, sizeBytes }: { readonly host: string; readonly of: string; readonly sizeBytes: number },
): void {
  const { version } = JSON.parse(readFileSync(join(__dirname, '../../../package.json'), 'utf8')) as {
    version: string
  }
  const sidecar = {
    ...{ tool: 'cpu-memory-monitor', version, artefact },
    why: { kind: 'memory', rule: 'threshold', details: {}, readings: [] },
    how: { way: 'fork', passedOver: [], pauseMs: 1, durationMs: 1, sizeBytes },
    where: { node: '', v8: '', pid: 7, host, directory: of, startedAt: '', limits: {} },
  }
  writeFileSync(join(directory, `${artefact}.json`), JSON.stringify(sidecar), { mode: 0o600 })
}

/** `<prefix>/<host>/<pid>-<ms>-<name>` */
export function keyOf(name: string): string {
  const [, pid = '', ms = ''] = /-(\d+)-(\d+)/.exec(name) ?? /(\d+)-(\d+)/.exec(name) ?? []
  return `shop/${host}/${pid}-${ms}-${name}`
}

/** Keys of the objects that were put, in the order of the requests; of one in parts once. */
export function puts(requests: readonly string[], { name }: Bucket): string[] {
  const keys = requests.flatMap((line) => new RegExp(`^PUT /${name}/(.+)$`).exec(line)?.[1] ?? [])
  return keys.map(decodeURIComponent)
}

export function linesOf(app: App, pattern: RegExp): string[] {
  return app.said('line').flatMap(({ text }) => (pattern.test(text) ? [text] : []))
}

export async function until(holds: () => Promise<boolean> | boolean): Promise<void> {
  const givesUpAtMs = performance.now() + 60_000
  while (!(await holds())) {
    if (performance.now() > givesUpAtMs) throw new Error('it did not come to that')
    await pause(50)
  }
}
