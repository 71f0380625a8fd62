import { setImmediate } from '../../base/time'
import type { ClientName } from './options'

/** One connection to Redis, through one of the supported client packages. */
export interface Connection {
  /** The package's own client object, which rate-limiter-flexible uses. */
  readonly client: object
  connect(): Promise<unknown>
  /** Returns the first `'error'` event of the client, the cause of its later failures; `undefined` if it emitted none. */
  cause(): unknown
  /** Closes the connection synchronously. Commands that wait for an answer reject. */
  close(): void
}

/** The members of a client of ioredis, and of its fork iovalkey, that this module uses. */
interface Ioredis {
  on(event: 'error', listener: (error: unknown) => void): void
  connect(): Promise<void>
  disconnect(): void
  readonly stream?: { unref?(): void; destroy?(): void } | null
}

/** The members of a client of the package redis that this module uses. Up to version 4, `destroy` is called `disconnect`. */
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
 * Creates a client that does not reconnect, and whose socket does not keep the process alive. The client gets a listener for
 * `'error'`: without one, it would print its errors or end the process. {@link Connection.cause} returns the first of them.
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
    // Send no INFO command first to check that the server is ready: while it loads its data, it rejects commands anyway.
    enableReadyCheck: false,
  })
  const cause = firstError(client)
  return {
    client,
    connect() {
      const connected = client.connect()
      // Unref the socket once it exists, so that it does not keep the process alive: ioredis creates it after this call returns.
      setImmediate(() => client.stream?.unref?.()).unref()
      return connected
    },
    cause,
    close() {
      client.disconnect()
      // Destroy the socket: `disconnect` alone waits until the server closes too, with a timer that keeps the process alive.
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
      // Ignore errors: `destroy` and `disconnect` fail when the connection is closed already.
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
