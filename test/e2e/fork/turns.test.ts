import assert from 'node:assert/strict'
import { statSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import type { Dump } from '../../../dist/dispatch/events.js'
import { files, places, sidecarOf, startApp } from '../monitor/app'
import { limitedTo } from '../monitor/memory-cgroup'
import { whyNoHelper } from './native/forking-server'

const MIB = 1024 * 1024

describe('processes that share a memory limit', { skip: whyNoHelper(), concurrency: 1 }, () => {
  for (const { watchdog, place } of places) {
    test(`dump their heaps one after the other (${place})`, async (t) => {
      const group = limitedTo(t, 3000 * MIB)
      if ('reason' in group) return t.skip(group.reason)
      const env = { HEAP_MB: '14', JOIN_CGROUP: group.procs }
      const apps = [1, 2].map(() =>
        startApp(t, 'forking.js', { watchdog, memory: { threshold: '20gb' } }, { env }),
      )
      await Promise.all(apps.map((app) => app.order('leak')))
      const dumps = await Promise.all(apps.map((app) => app.order<Dump>('dumpMemory')))
      assert.deepEqual(
        dumps.map(({ way }) => way),
        ['fork', 'fork'],
      )
      const spans = apps
        .map(({ directory }) => {
          const file = files({ directory }).find((name) => name.endsWith('.heapsnapshot'))
          assert.ok(file)
          const path = join(directory, file)
          const from = Date.parse(sidecarOf(path).where.startedAt)
          return { from, to: statSync(path).mtimeMs }
        })
        .sort((one, other) => one.from - other.from)
      for (const [i, { to }] of spans.entries()) {
        const next = spans[i + 1]
        assert.ok(!next || next.from >= Math.floor(to), JSON.stringify(spans))
      }
    })
  }
})
