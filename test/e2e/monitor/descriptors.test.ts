import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { describe, test } from 'node:test'
import type { DumpResult } from '../../../dist/dispatch/events.js'
import { places, startApp } from './app'

describe('an application without a free descriptor', { concurrency: 2 }, () => {
  for (const { watchdog, place } of places)
    test(`is not ended by its monitor, which goes on when there are some again, ${place}`, async (t) => {
      const options = {
        cpu: { threshold: 5000, interval: 100 },
        memory: { threshold: '100gb', interval: 100 },
      }
      const app = startApp(t, 'no-descriptors.js', { ...options, watchdog })
      await app.until('line', ({ text }) => text.startsWith('watching'))
      execFileSync('prlimit', [`--pid=${app.pid}`, '--nofile=100:100'])
      assert.ok((await app.order<number>('workWithout', 2500)) > 10, 'it took none')
      await app.order('giveBack')
      const { file } = await app.order<Extract<DumpResult, { file: string }>>('dumpCpu', 100)
      assert.ok(existsSync(file))
      // Node opens a file to read the memory: those readings failed, each kind said once.
      const stages = app.said('failure').map(({ stage }) => stage)
      assert.deepEqual(
        stages.filter((stage) => stage !== 'sampling' && stage !== 'heap limit'),
        [],
      )
      assert.equal(app.stderr(), '')
    })
})
