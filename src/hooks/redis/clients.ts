import { setImmediate } from '../../base/time'
import type { ClientName } from './options'

/** One connection to Redis, and what rate-limiter-flexible needs of it. */
export interface Connection {
  /** The client of the package. */
  readonly client: object
  connect(): Promise<unknown>
  /** The error of the connection itself, if it has had one. */
  cause(): unknown
  /** Within the call. What waits for an answer rejects. */
  close(): void
}

/** What is used of ioredis, and of iovalkey, which has grown from it. */
interface Ioredis {
  on(event: 'error', listener: (error: unknown) => void): void
  connect(): Promise<void>
  disconnect(): void
  readonly stream?: { unref?(): void; destroy?(): void } | null
}

/** What is used of redis, by either name of its close: `disconnect` up to version 4. */
interface NodeRedis {
  on(event: 'error', listener: (error: unknown) => void): void
  connect(): Promise<unknown>
  unref(): void
  destroy?(): void
  disconnect(): Promise<void>
}

interface IoredisModule {
  readonly default?: new (url: string, options: object) => Ioredis
}

interface NodeRedisModule {
  readonly createClient: (options: object) => NodeRedis
}

/**
 * Makes a client that connects once, keeps no process alive, and reports its errors to nobody else. A client without a listener for
 * `'error'` prints them, or ends the process.
 */
export function openConnection(name: ClientName, loaded: unknown, url: string): Connection {
  return name === 'redis' ? openNodeRedis(loaded as NodeRedisModule, url) : openIoredis(loaded as object, url)
}

function openIoredis(loaded: IoredisModule, url: string): Connection {
  const Client = loaded.default ?? (loaded as unknown as NonNullable<IoredisModule['default']>)
  const client = new Client(url, {
    lazyConnect: true,
    retryStrategy: () => null,
    maxRetriesPerRequest: 0,
    // A server that is still loading answers with an error as well.
    enableReadyCheck: false,
  })
  const cause = firstError(client)
  return {
    client,
    connect() {
      const connected = client.connect()
      // By then the socket exists. Nothing else reaches it while it connects.
      setImmediate(() => client.stream?.unref?.()).unref()
      return connected
    },
    cause,
    close() {
      client.disconnect()
      // Alone it waits for the server to close the connection too, by a timer that keeps the process alive.
      client.stream?.destroy?.()
    },
  }
}

function openNodeRedis({ createClient }: NodeRedisModule, url: string): Connection {
  const client = createClient({ url, socket: { reconnectStrategy: false } })
  const cause = firstError(client)
  client.unref()
  return {
    client,
    connect: () => client.connect(),
    cause,
    close() {
      // Both fail when the connection is closed already.
      try {
        if (client.destroy) client.destroy()
        else client.disconnect().catch(() => undefined)
      } catch {
        return
      }
    },
  }
}

function firstError(client: Ioredis | NodeRedis): () => unknown {
  let first: unknown
  client.on('error', (error) => void (first ??= error))
  return () => first
}
