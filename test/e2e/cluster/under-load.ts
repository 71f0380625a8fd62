import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { Load } from './http-client'
import type { RunningCluster } from './running-cluster'

/** A deadline far above the longest request: on a loaded machine a request of two seconds takes many. ms. */
export const LONG_MS = 15_000

/** All places accepted at all times, and one worker drained at a time. */
export function checkCapacity(running: RunningCluster): void {
  assert.equal(running.census.leastAccepting, running.count, running.story())
  assert.equal(running.census.msBelow, 0)
  assert.ok(running.census.mostLive <= running.count + 1, `${running.census.mostLive} processes`)
  assert.ok(running.census.mostDraining <= 1, `${running.census.mostDraining} drained at once`)
}

/** Keeps a cluster under the mixed load until this many workers have been replaced; no request may be lost by it. */
export async function replacesUnderLoad(
  t: TestContext,
  running: RunningCluster,
  replacements: number,
  socketPath?: string,
): Promise<void> {
  await running.allReady()
  const port = socketPath === undefined ? running.port : 0
  const load = new Load(t, port, { socketPath, users: 20, seconds: 120, mix: 'mixed' })
  await running.recycled(replacements, 120_000)
  const result = await load.end()
  assert.equal(result.failed, 0, JSON.stringify(result))
  assert.equal(result.ok, result.sent)
  checkCapacity(running)
  assert.ok(running.events('recycled').every((event) => event.code === 0))
  assert.equal(running.events('crash').length, 0)
}
