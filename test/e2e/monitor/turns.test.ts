import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Dump } from '../../../dist/dispatch/events.js'
import { artefacts, places, startApp } from './app'
import { limitedTo } from './memory-cgroup'
import { neighbourWithTurn } from './neighbour'

/** Ample for two processes and a snapshot: only the turn decides. */
const LIMIT_BYTES = 2e9

describe('while a neighbour under the same memory limit takes a heap dump', { concurrency: 2 }, () => {
  for (const { watchdog, place } of places) {
    test(`a dump that is due waits, and spends its token when that process has ended, ${place}`, async (t) => {
      const group = limitedTo(t, LIMIT_BYTES)
      if ('reason' in group) return t.skip(group.reason)
      const neighbour = await neighbourWithTurn(t, group.procs)
      const memory = { threshold: 0, interval: 200, limiter: [1, 'hour'] }
      const app = startApp(t, 'in-a-cgroup.js', { memory, watchdog }, { args: [group.procs] })
      await neighbour.isWaitedFor()
      assert.deepEqual(artefacts(app), [])
      neighbour.kill()
      const { file } = await app.until('dump')
      assert.match(file, /\.heapsnapshot$/)
      assert.deepEqual([app.said('skip'), app.said('failure')], [[], []])
    })

    test(`a dump under another limit does not wait, ${place}`, async (t) => {
      const [group, other] = [limitedTo(t, LIMIT_BYTES), limitedTo(t, LIMIT_BYTES)]
      if ('reason' in group) return t.skip(group.reason)
      if ('reason' in other) return t.skip(other.reason)
      await neighbourWithTurn(t, group.procs)
      const app = startApp(t, 'in-a-cgroup.js', { watchdog }, { args: [other.procs] })
      assert.match((await app.order<Dump>('dumpMemory')).file, /\.heapsnapshot$/)
    })
  }
})
