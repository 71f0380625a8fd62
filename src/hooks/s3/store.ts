import { Agent as HttpAgent } from 'node:http'
import { Agent as HttpsAgent } from 'node:https'
import type { Socket } from 'node:net'
import type { Readable } from 'node:stream'
import type * as s3 from '@aws-sdk/client-s3'
import type * as libStorage from '@aws-sdk/lib-storage'
import { AbortController, Promise } from '../../base/globals'
import { formatSize } from '../../base/size'
import { clearTimeout, setTimeout } from '../../base/time'
import { loadPackage, type ResolvedPackage, resolvePackage } from '../../capture/engines'
import type { UploadSettings } from './options'
import { isUnknownKey } from './verdict'

/** Names and files of the two optional AWS packages. */
export interface Peers {
  readonly client: ResolvedPackage
  readonly storage: ResolvedPackage
}

/** A key pair in the SDK's type, which does not allow `sessionToken: undefined`. */
type KeyPair = { accessKeyId: string; secretAccessKey: string; sessionToken?: string }

const CLIENT = '@aws-sdk/client-s3'
const STORAGE = '@aws-sdk/lib-storage'

/** Finds the two AWS packages without loading them. @throws Error with the command that installs the missing ones. */
export function findPeers(): Peers {
  const refused: string[] = []
  const [client, storage] = [CLIENT, STORAGE].map((name) => resolvePackage(name, refused))
  if (client && storage) return { client, storage }
  const missing = [client ? [] : [CLIENT], storage ? [] : [STORAGE]].flat().join(' ')
  const why = refused.length > 0 ? ` (${refused.join(', ')})` : ''
  throw new Error(
    `cpu-memory-monitor/s3 needs packages that are not installed: ${missing}${why}. Run: npm install ${missing}`,
  )
}

/** An object to upload. */
export interface ToPut {
  readonly key: string
  readonly body: Readable | string
  readonly contentType: string
  readonly metadata: Record<string, string>
}

/** An S3 bucket. Its methods throw the SDK's errors. */
export interface Store {
  /** Returns the metadata of an object; `undefined` if it does not exist, and also if HEAD is not allowed. */
  find(key: string): Promise<Readonly<Record<string, string>> | undefined>
  put(object: ToPut): Promise<void>
  close(): void
}

/** Size of a part of a multipart upload, bytes. S3 allows 10000 parts, each of at least 5 MiB except the last. */
const PART_BYTES = 8 * 1024 * 1024
/** Number of parts that are uploaded at the same time. Together with the part that is being filled, three are in memory. */
const PARTS_AT_A_TIME = 2
/**
 * Longest time for the upload of one dump file, ms. Without it, a server that accepts a byte now and then would block uploads.
 */
const LONGEST_PUT_MS = 3_600_000
/**
 * Time for the SDK's pauses between its attempts, ms. With the time limits of the attempts themselves it makes the time limit of a
 * small request.
 */
const BETWEEN_ATTEMPTS_MS = 5000
/** Number of attempts that the SDK makes for one request on a thread of this library. On the main thread it makes one. */
const ATTEMPTS = 3
/**
 * Largest HTTP response that is accepted, bytes. S3 answers these requests with at most a few KiB, and a proxy with a web page.
 * The SDK parses a response synchronously, in time that grows with the square of its size: a MiB of `<!DOCTYPE>` took a minute;
 * a response of the largest accepted size takes 40 ms.
 */
export const MOST_ANSWER_BYTES = 32 * 1024

/**
 * Loads the AWS SDK and creates a client for the bucket.
 *
 * @param isOnThread - Whether this is a thread of this library. On the main thread no socket or timer may keep the process alive.
 * The SDK's retry timers would, so on the main thread it makes only one attempt, and each connection serves one request.
 */
export function openStore(settings: UploadSettings, peers: Peers, isOnThread: boolean): Store {
  const { S3Client, HeadObjectCommand, PutObjectCommand } = loadPackage(peers.client) as typeof s3
  const { Upload } = loadPackage(peers.storage) as typeof libStorage
  const client = new S3Client(clientConfig(settings, isOnThread))
  const common = commonParameters(settings)
  const longestMs = ATTEMPTS * settings.timeoutMs + BETWEEN_ATTEMPTS_MS
  return {
    async find(Key) {
      try {
        const command = new HeadObjectCommand({ Bucket: settings.bucket, Key })
        const found = await endedAfter(longestMs, (abortSignal) => client.send(command, { abortSignal }))
        return found.Metadata ?? {}
      } catch (error) {
        if (isUnknownKey(error)) return undefined
        throw error
      }
    },
    async put({ key, body, contentType, metadata }) {
      const params = { ...common, Key: key, Body: body, ContentType: contentType, Metadata: metadata }
      if (typeof body === 'string') {
        const command = new PutObjectCommand(params)
        await endedAfter(longestMs, (abortSignal) => client.send(command, { abortSignal }))
        return
      }
      const abortController = new AbortController()
      const timer = setTimeout(() => abortController.abort(), LONGEST_PUT_MS).unref()
      const parts = { partSize: PART_BYTES, queueSize: PARTS_AT_A_TIME }
      try {
        await new Upload({ client, params, abortController, ...parts }).done()
      } finally {
        clearTimeout(timer)
        body.destroy()
      }
    },
    close: () => client.destroy(),
  }
}

/**
 * Sends a small request and rejects at a time limit. Without the limit, a server that sends a byte of its response now and then
 * would hold the request for ever. The SDK does not abort a response whose body it has begun to read: its connection stays open
 * until {@link Store.close} is called.
 */
async function endedAfter<T>(limitMs: number, send: (abortSignal: AbortSignal) => Promise<T>): Promise<T> {
  const abortController = new AbortController()
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => {
      const error = new Error(`the response did not end within ${limitMs / 1000} s`)
      reject(Object.assign(error, { code: 'ETIMEDOUT' }))
      abortController.abort()
    }, limitMs).unref()
  })
  try {
    return await Promise.race([send(abortController.signal), late])
  } finally {
    clearTimeout(timer)
  }
}

function clientConfig(settings: UploadSettings, isOnThread: boolean): s3.S3ClientConfig {
  const { region, endpoint, forcePathStyle, credentials, checksums, timeoutMs } = settings
  const when = checksums === 'required' ? 'WHEN_REQUIRED' : 'WHEN_SUPPORTED'
  const agentOptions = { keepAlive: isOnThread, timeout: timeoutMs }
  return {
    forcePathStyle,
    ...(region !== undefined && { region }),
    ...(endpoint !== undefined && { endpoint }),
    // Pass a copy, because the SDK writes into the object.
    ...(credentials && { credentials: { ...(credentials as KeyPair) } }),
    requestChecksumCalculation: when,
    responseChecksumValidation: when,
    maxAttempts: isOnThread ? ATTEMPTS : 1,
    requestHandler: {
      httpAgent: guarded(new HttpAgent(agentOptions), timeoutMs, isOnThread),
      httpsAgent: guarded(new HttpsAgent(agentOptions), timeoutMs, isOnThread),
    },
  }
}

/**
 * Makes an HTTP agent close connections that transfer no byte for `timeoutMs` (even while connecting), and those whose response
 * is too large. The SDK's own timeouts differ by version, and it does not limit the size of a response.
 */
function guarded<Agent extends HttpAgent>(agent: Agent, timeoutMs: number, isOnThread: boolean): Agent {
  type Create = (...values: unknown[]) => Socket
  const create = (agent as unknown as { createConnection: Create }).createConnection.bind(agent)
  /** Bytes of the current response that each connection has received. */
  const received = new WeakMap<Socket, number>()
  agent.on('free', (socket: Socket) => received.delete(socket))
  const createConnection: Create = (...values) => {
    const socket = create(...values)
    const end = (why: string, code: string): void =>
      void socket.destroy(Object.assign(new Error(why), { code }))
    socket.setTimeout(timeoutMs).on('timeout', () => end(`no data for ${timeoutMs} ms`, 'ETIMEDOUT'))
    const emit = socket.emit.bind(socket) as (...event: unknown[]) => boolean
    // A listener for `'data'` would not do: the listener of Node's HTTP client runs all the same, and may end the response.
    const emitBounded = (name: unknown, ...event: unknown[]): boolean => {
      if (name !== 'data') return emit(name, ...event)
      const bytes = (received.get(socket) ?? 0) + (event[0] as Buffer).length
      received.set(socket, bytes)
      if (bytes <= MOST_ANSWER_BYTES) return emit(name, ...event)
      end(`the response has more than ${formatSize(MOST_ANSWER_BYTES)}`, 'EMSGSIZE')
      return false
    }
    Object.assign(socket, { emit: emitBounded })
    return isOnThread ? socket : socket.unref()
  }
  return Object.assign(agent, { createConnection })
}

function commonParameters({ bucket, acl, sse, kmsKeyId }: UploadSettings) {
  return {
    Bucket: bucket,
    ...(acl !== undefined && { ACL: acl as s3.ObjectCannedACL }),
    ...(sse !== undefined && { ServerSideEncryption: sse as s3.ServerSideEncryption }),
    ...(kmsKeyId !== undefined && { SSEKMSKeyId: kmsKeyId }),
  }
}
