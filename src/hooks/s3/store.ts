import { Agent as HttpAgent } from 'node:http'
import { Agent as HttpsAgent } from 'node:https'
import type { Socket } from 'node:net'
import type { Readable } from 'node:stream'
import type * as s3 from '@aws-sdk/client-s3'
import type * as libStorage from '@aws-sdk/lib-storage'
import { AbortController } from '../../base/globals'
import { formatSize } from '../../base/size'
import { clearTimeout, setTimeout } from '../../base/time'
import { loadPackage, type ResolvedPackage, resolvePackage } from '../../capture/engines'
import type { UploadSettings } from './options'
import { isUnknownKey } from './verdict'

/** The optional packages, as they were found. */
export interface Peers {
  readonly client: ResolvedPackage
  readonly storage: ResolvedPackage
}

/** Its types leave no `sessionToken: undefined`. */
type KeyPair = { accessKeyId: string; secretAccessKey: string; sessionToken?: string }

const CLIENT = '@aws-sdk/client-s3'
const STORAGE = '@aws-sdk/lib-storage'

/** @throws Error that names the line that installs what is missing. */
export function findPeers(): Peers {
  const refused: string[] = []
  const [client, storage] = [CLIENT, STORAGE].map((name) => resolvePackage(name, refused))
  if (client && storage) return { client, storage }
  const missing = [client ? [] : [CLIENT], storage ? [] : [STORAGE]].flat().join(' ')
  const why = refused.length > 0 ? ` (${refused.join(', ')})` : ''
  throw new Error(`cpu-memory-monitor/s3 needs ${missing}${why}: npm install ${missing}`)
}

/** An object that is put. */
export interface ToPut {
  readonly key: string
  readonly body: Readable | string
  readonly contentType: string
  readonly metadata: Record<string, string>
}

/** A bucket. Its methods throw the SDK's errors. */
export interface Store {
  /** `false` also where HEAD is not allowed: then the object is put once more. */
  has(key: string): Promise<boolean>
  put(object: ToPut): Promise<void>
  close(): void
}

/** Size of a part, bytes; S3 takes 10000 parts at most, and none below 5 MiB but the last. */
const PART_BYTES = 8 * 1024 * 1024
/** Parts that are sent at the same time: with the one that is being filled, three are in memory. */
const PARTS_AT_A_TIME = 2
/** Longest time for one artefact, ms: a server that takes a byte now and then would never end it. */
const LONGEST_PUT_MS = 3_600_000
/** Attempts of one request. */
const ATTEMPTS = 3
/** Longest answer, bytes; those of S3 have a few KiB. The SDK collects the whole text of an error before it looks at it. */
const MOST_ANSWER_BYTES = 1024 * 1024

/**
 * Opens the bucket.
 *
 * @param isOnThread - On a thread of ours, which keeps no process alive. On the main thread neither a socket nor a timer may do so:
 * then the SDK, whose timers do, makes one attempt only, and a connection serves one request.
 */
export function openStore(settings: UploadSettings, peers: Peers, isOnThread: boolean): Store {
  const { S3Client, HeadObjectCommand, PutObjectCommand } = loadPackage(peers.client) as typeof s3
  const { Upload } = loadPackage(peers.storage) as typeof libStorage
  const client = new S3Client(clientConfig(settings, isOnThread))
  const common = commonParameters(settings)
  return {
    async has(Key) {
      try {
        await client.send(new HeadObjectCommand({ Bucket: settings.bucket, Key }))
        return true
      } catch (error) {
        if (isUnknownKey(error)) return false
        throw error
      }
    },
    async put({ key, body, contentType, metadata }) {
      const params = { ...common, Key: key, Body: body, ContentType: contentType, Metadata: metadata }
      if (typeof body === 'string') {
        await client.send(new PutObjectCommand(params))
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

function clientConfig(settings: UploadSettings, isOnThread: boolean): s3.S3ClientConfig {
  const { region, endpoint, forcePathStyle, credentials, checksums, timeoutMs } = settings
  const when = checksums === 'required' ? 'WHEN_REQUIRED' : 'WHEN_SUPPORTED'
  const agentOptions = { keepAlive: isOnThread, timeout: timeoutMs }
  return {
    forcePathStyle,
    ...(region !== undefined && { region }),
    ...(endpoint !== undefined && { endpoint }),
    // A copy: the SDK writes into it.
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
 * Ends each connection on which nothing moves, while it is being made as well, and each on which an answer does not end. The SDK's own
 * limits differ by version, and it has none for an answer.
 */
function guarded<Agent extends HttpAgent>(agent: Agent, timeoutMs: number, isOnThread: boolean): Agent {
  type Create = (...values: unknown[]) => Socket
  const create = (agent as unknown as { createConnection: Create }).createConnection.bind(agent)
  /** Bytes received on a connection before the answer that comes now. */
  const before = new WeakMap<Socket, number>()
  agent.on('free', (socket: Socket) => before.set(socket, socket.bytesRead))
  const createConnection: Create = (...values) => {
    const socket = create(...values)
    const end = (why: string, code: string): void =>
      void socket.destroy(Object.assign(new Error(why), { code }))
    socket.setTimeout(timeoutMs).on('timeout', () => end(`nothing moved for ${timeoutMs} ms`, 'ETIMEDOUT'))
    socket.on('data', () => {
      if (socket.bytesRead - (before.get(socket) ?? 0) <= MOST_ANSWER_BYTES) return
      end(`its answer has more than ${formatSize(MOST_ANSWER_BYTES)}`, 'EMSGSIZE')
    })
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
