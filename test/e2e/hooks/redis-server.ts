import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { PATIENCE_MS } from '../../harness/program'
import { type RunningRedis, startRedis, whyNoRedis } from '../../tools/services/redis.mjs'

/** Why the tests with a real Redis are skipped here. CI has one. */
export const skip = whyNoRedis() ?? false
if (skip !== false && process.env['CI'] === 'true') throw new Error(skip)

export const HOUR_MS = 3_600_000
/** A process that gets no CPU is late as well. */
export const PATIENT = { timeout: 100_000 }

export async function redisFor(t: TestContext, args: readonly string[] = []): Promise<RunningRedis> {
  const redis = await startRedis({ args })
  t.after(() => redis.stop())
  return redis
}

/** What lies in Redis for CPU dumps. */
export async function taken(redis: RunningRedis, service = 'shop'): Promise<number> {
  const answer = await redis.ask('GET', `cpu-memory-monitor:{${service}}:cpu`)
  return answer === '$-1\r\n' ? 0 : Number(answer.split('\r\n')[1])
}

export async function until(what: string, look: () => Promise<boolean>): Promise<void> {
  const givesUpAtMs = performance.now() + PATIENCE_MS
  while (!(await look())) {
    assert.ok(performance.now() < givesUpAtMs, `waited in vain for: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
