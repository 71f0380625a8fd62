import { join } from 'node:path'
import { isMainThread } from 'node:worker_threads'
import { monotonicMs } from '../../base/time'
import { ownPackageDirectory } from '../../capture/own-package'
import type { Budget } from '../../dispatch/budget'
import { FLEET_PLAN, type FleetPlan, type OpenFleet } from '../../dispatch/fleet'
import { StoreFleet } from './fleet'
import { placeOf, type RedisOptions, type RedisSettings, resolveRedisOptions } from './options'
import { findPackages, type RedisPackages } from './packages'
import { type RedisStore, redisStore } from './store'

export type { FleetPlan, RedisOptions }

interface Opened {
  readonly settings: RedisSettings
  readonly packages: RedisPackages
}

/**
 * Creates the value of the monitor's option `fleet`: one budget of dumps, kept in Redis, for all processes of a service. It does
 * not connect to Redis before a dump is due.
 *
 * @throws TypeError, RangeError for a wrong option.
 * @throws Error when `rate-limiter-flexible` or a client of Redis is not installed.
 */
export function redisBudget(options: RedisOptions): FleetPlan {
  const settings = resolveRedisOptions(options)
  const packages = findPackages(settings.client)
  const plan: FleetPlan = {
    file: join(ownPackageDirectory(), 'dist', 'hooks', 'redis', 'index.js'),
    settings: { settings, packages } satisfies Opened,
    isRequired: settings.insurance === 0,
    inWords: inWords(settings, packages),
  }
  return Object.defineProperty(plan, FLEET_PLAN, { value: true })
}

/**
 * Opens the shared budget of a plan that `redisBudget` has made, on the thread that decides about dumps. With `isCutOff` (the
 * thread that used the budget before has died) Redis is not asked any more.
 *
 * @internal
 */
export const openFleet: OpenFleet = (opened, report, isCutOff = false) => {
  const { settings, packages } = opened as Opened
  const store = isCutOff ? undefined : redisStore(settings, packages)
  // On the main thread, load the packages now, because loading blocks it: later that would delay requests to the application.
  // A thread of this library loads them with its first request to Redis, which blocks no application code.
  if (isMainThread && store) loadEarly(store)
  const place = placeOf(settings)
  return new StoreFleet({ ...settings, store, place, report, now: monotonicMs, random: Math.random })
}

function loadEarly(store: RedisStore): void {
  try {
    store.load()
  } catch {
    // Ignore the error now: the first request to Redis loads the packages again and reports it.
    return
  }
}

function inWords(settings: RedisSettings, { client }: RedisPackages): string {
  const { service, budgets } = settings
  const most = ({ tokensPerInterval, intervalMs }: Budget) =>
    `${tokensPerInterval} ${tokensPerInterval === 1 ? 'dump' : 'dumps'} per ${intervalMs / 1000} s`
  return (
    `all processes of ${service} together make at most ${most(budgets.cpu)} for cpu and ${most(budgets.memory)} for memory by rules, ` +
    `counted in Redis at ${placeOf(settings)} through ${client.name}`
  )
}
