import type { Budget } from '../../dispatch/budget'
import type { DumpKind } from '../../dispatch/events'
import { optionsOf } from '../../monitor/declared'
import { type LimiterOption, readLimiter } from '../../options/limiter'
import { kindOf, rangeError, readMs, readObject, readWhole, typeError } from '../../options/read'

/** Supported client packages for Redis, in the order in which they are tried. */
export const CLIENTS = ['ioredis', 'redis', 'iovalkey'] as const

export type ClientName = (typeof CLIENTS)[number]

/** One budget of dumps for all processes of a service. */
export interface RedisOptions {
  /** URL of Redis: `redis://` or, with TLS, `rediss://`, with user, password and database if needed. */
  url: string
  /** Name of the service. All processes with this name share a budget. Letters, digits and `._:/-`, 1 to 100 characters. */
  service: string
  /** Maximum number of CPU dumps that all processes of the service together make per interval. @defaultValue [3, 'hour'] */
  cpu?: LimiterOption | undefined
  /** Maximum number of memory dumps that all processes of the service together make per interval. @defaultValue [3, 'hour'] */
  memory?: LimiterOption | undefined
  /**
   * Number of dumps of each kind that one process may make per interval while Redis does not answer: a whole number, at least 0.
   * The process's own `limiter` applies in any case.
   *
   * @defaultValue only the process's own limiter
   */
  insurance?: number | undefined
  /**
   * Longest time that a dump waits for Redis to connect and answer, ms: a whole number from 1 to 2147483647.
   *
   * @defaultValue 1000
   */
  timeout?: number | undefined
  /** Client package for Redis. @defaultValue the first of ioredis, redis and iovalkey that is installed */
  client?: ClientName | undefined
}

/** The options after validation, with defaults filled in. */
export interface RedisSettings {
  readonly url: string
  readonly service: string
  readonly budgets: Readonly<Record<DumpKind, Budget>>
  readonly insurance: number | undefined
  readonly timeoutMs: number
  readonly client: ClientName | undefined
}

export const DEFAULT_TIMEOUT_MS = 1000

/**
 * Validates the user's options and fills in defaults.
 *
 * @throws TypeError for a value of the wrong type, or an option that does not exist.
 * @throws RangeError for a value outside the option's range.
 */
export function resolveRedisOptions(options: RedisOptions): RedisSettings {
  const name = 'options.redis'
  const given = readObject(options, name, optionsOf('redis'))
  const { insurance } = given
  return {
    url: readUrl(given['url'], `${name}.url`),
    service: readService(given['service'], `${name}.service`),
    budgets: {
      cpu: readLimiter(given['cpu'], `${name}.cpu`),
      memory: readLimiter(given['memory'], `${name}.memory`),
    },
    insurance: insurance === undefined ? undefined : readWhole(insurance, `${name}.insurance`, 0, 0),
    timeoutMs: readMs(given['timeout'], `${name}.timeout`, DEFAULT_TIMEOUT_MS),
    client: readClient(given['client'], `${name}.client`),
  }
}

/** Returns host and port of a URL, for log lines: its other parts may be secret. */
export function placeOf({ url }: Pick<RedisSettings, 'url'>): string {
  const { hostname, port } = new URL(url)
  return `${hostname}:${port || 6379}`
}

function readUrl(value: unknown, name: string): string {
  const expected = 'a URL such as redis://redis:6379 or rediss://user:password@redis:6380/0'
  if (typeof value !== 'string') throw typeError(name, expected, value)
  const url = URL.canParse(value) ? new URL(value) : undefined
  if (url && ['redis:', 'rediss:'].includes(url.protocol) && url.hostname !== '') return value
  throw new RangeError(`${name} must be ${expected}; received ${kindOf(value)}`)
}

function readService(value: unknown, name: string): string {
  const expected = 'a name of 1 to 100 letters, digits and ._:/-'
  if (typeof value !== 'string') throw typeError(name, expected, value)
  if (!/^[\w.:/-]{1,100}$/.test(value)) throw rangeError(name, expected, value)
  return value
}

function readClient(value: unknown, name: string): ClientName | undefined {
  if (value === undefined) return undefined
  const expected = `one of ${CLIENTS.map((client) => `'${client}'`).join(', ')}`
  if (typeof value !== 'string') throw typeError(name, expected, value)
  const client = CLIENTS.find((each) => each === value)
  if (!client) throw rangeError(name, expected, value)
  return client
}
