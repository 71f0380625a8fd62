import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RunningCluster } from './running-cluster'

test('a cluster that is killed for its age: a wait for it fails at once, and names the reason', async (t) => {
  const running = await RunningCluster.start(t, {}, { lifetimeMs: 1 })
  await assert.rejects(
    running.until('what never comes', () => false),
    /^Error: killed after 1 ms, before: what never comes\n/,
  )
})

test('a cluster that has ended by itself: the wait for replacements fails at once', async (t) => {
  const running = await RunningCluster.start(t, {})
  await running.allReady()
  running.kill('SIGTERM')
  await assert.rejects(running.recycled(1), /^Error: it ended with 0 before: 1 replacements\n/)
})

test('a cluster that has ended by itself: other waits go on', async (t) => {
  const running = await RunningCluster.start(t, {})
  await running.allReady()
  running.kill('SIGTERM')
  await running.gone()
  let looks = 0
  await running.until('something after its end', () => (looks += 1) > 3)
})
