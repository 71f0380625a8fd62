import { firstLineOf, Promise } from '../../base/globals'
import { clearTimeout, setTimeout } from '../../base/time'
import { loadPackage } from '../../capture/engines'
import type { DumpKind } from '../../dispatch/events'
import { type Connection, openConnection } from './clients'
import type { Store, StoreAnswer } from './fleet'
import type { RedisSettings } from './options'
import type { RedisPackages } from './packages'
import { scriptOf } from './script'
import { secretsOf, withoutSecrets } from './secrets'

const KEY_PREFIX = 'cpu-memory-monitor'

/**
 * The methods of a limiter of `rate-limiter-flexible` that are called. `consume` takes a token; if none is left, it rejects with
 * a {@link LimiterAnswer}, not with an Error. `reward` gives a token back.
 */
interface Limiter {
  consume(key: string): Promise<LimiterAnswer>
  reward(key: string): Promise<unknown>
}

interface LimiterAnswer {
  readonly msBeforeNext: number
}

type LimiterClass = new (options: object) => Limiter

/** A store of dump budgets in Redis. The errors of `take` and `giveBack` contain neither the user name nor the password. */
export interface RedisStore extends Store {
  /** Loads the packages now. Without this call the first request loads them. @throws Errors of the packages themselves. */
  load(): void
}

/**
 * Returns a store of the dump budgets that are kept in Redis. Each request opens a connection and closes it again. A process asks
 * only when a dump is due: permanent connections of many processes would be idle, and might be broken when one is needed.
 */
export function redisStore(settings: RedisSettings, packages: RedisPackages): RedisStore {
  const { service, budgets, timeoutMs } = settings
  const secrets = secretsOf(settings.url)
  const load = (): { client: unknown; Limiter: LimiterClass } => ({
    client: loadPackage(packages.client),
    Limiter: (loadPackage(packages.limiter) as { RateLimiterRedis: LimiterClass }).RateLimiterRedis,
  })
  const ask = async <T>(
    kind: DumpKind,
    question: (limiter: Limiter, key: string) => Promise<T>,
  ): Promise<T> => {
    // Load the packages before the timeout starts: it limits only the connection and the request.
    const { client, Limiter } = load()
    const connection = openConnection(packages.client.name, client, settings.url)
    const limiter = new Limiter({
      storeClient: connection.client,
      useRedisPackage: packages.client.name === 'redis',
      keyPrefix: KEY_PREFIX,
      points: budgets[kind].tokensPerInterval,
      duration: Math.max(1, Math.ceil(budgets[kind].intervalMs / 1000)),
      customIncrTtlLuaScript: scriptOf(budgets[kind]),
    })
    // The braces (a hash tag) keep all keys of a service on one node of a Redis Cluster.
    const key = `{${service}}:${kind}`
    return within(timeoutMs, connection, async () => {
      await connection.connect()
      return question(limiter, key)
    })
  }
  const tell = (error: unknown): never => {
    throw new Error(withoutSecrets(reasonOf(error), secrets))
  }
  return {
    load: () => void load(),
    take: (kind) => ask(kind, take).catch(tell),
    giveBack: (kind) => ask(kind, async (limiter, key) => void (await limiter.reward(key))).catch(tell),
  }
}

/**
 * Returns the first line of an error's message, or its code if the message is empty. Node's error has only a code if a host name
 * has several addresses and none of them can be reached.
 */
function reasonOf(error: unknown): string {
  const { code, message } = Object(error) as Partial<Record<'code' | 'message', unknown>>
  return message === '' && typeof code === 'string' ? code : firstLineOf(error)
}

async function take(limiter: Limiter, key: string): Promise<StoreAnswer> {
  try {
    const { msBeforeNext } = await limiter.consume(key)
    return { isTaken: true, renewsInMs: msBeforeNext }
  } catch (answer) {
    const { msBeforeNext } = answer as Partial<LimiterAnswer>
    if (msBeforeNext === undefined) throw answer
    return { isTaken: false, renewsInMs: msBeforeNext }
  }
}

/**
 * Calls `work`, which connects and sends requests, and closes the connection when `work` has settled or after `timeoutMs`. In the
 * second case it rejects, but Redis may still run a command that it has received.
 */
async function within<T>(timeoutMs: number, connection: Connection, work: () => Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs).unref()
  })
  try {
    return await Promise.race([work(), late])
  } catch (error) {
    // Prefer the first error that the client has emitted: the rejection itself may only say "Connection is closed".
    throw connection.cause() ?? error
  } finally {
    clearTimeout(timer)
    connection.close()
  }
}
