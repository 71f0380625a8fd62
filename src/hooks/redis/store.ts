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

/** What is used of `rate-limiter-flexible`. A refusal rejects with an answer, which is no Error. */
interface Limiter {
  consume(key: string): Promise<LimiterAnswer>
  reward(key: string): Promise<unknown>
}

interface LimiterAnswer {
  readonly msBeforeNext: number
}

type LimiterClass = new (options: object) => Limiter

/** Its errors show no user and no password. */
export interface RedisStore extends Store {
  /** Loads the packages, which the first question does otherwise. @throws what they throw */
  load(): void
}

/**
 * The budget in Redis. Each question has a connection of its own: a process asks a few times an hour at most, a fleet would keep
 * thousands of idle connections, and one that is kept can be stale or reconnecting just when it is needed.
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
    // First, so that its time is not counted.
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
    // The braces keep the keys of a service on one node of a sharded Redis.
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

/** Of a name with several addresses Node reports one error, which has a code and no text. */
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

/** Closes the connection in any case. A command that the server has received may still be carried out. */
async function within<T>(timeoutMs: number, connection: Connection, work: () => Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs).unref()
  })
  try {
    return await Promise.race([work(), late])
  } catch (error) {
    // Clients reject with no more than "Connection is closed".
    throw connection.cause() ?? error
  } finally {
    clearTimeout(timer)
    connection.close()
  }
}
