import assert from 'node:assert/strict'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Dump } from '../../../dist/dispatch/events.js'
import { artefacts, sidecarOf, startApp } from '../monitor/app'
import { until, untilForked } from './forked-child'
import { whyNoHelper } from './native/forking-server'

/** Trips after two seconds of silence. */
const BLOCKED_MS = 1000
const TRIPS_AFTER_MS = 2000
const options = { cpu: { threshold: 100_000, blocked: BLOCKED_MS, duration: 300 } }

describe('a loop that blocks during a snapshot', { concurrency: 1 }, () => {
  test(
    'has its silence counted when a child makes that, and its profile as soon as the child is done',
    {
      skip: whyNoHelper(),
    },
    async (t) => {
      const app = startApp(t, 'forking.js', options, { env: { HEAP_MB: '10' } })
      await app.until('line', ({ text }) => text.includes('a thread of its own'))
      await app.order('leak')
      app.order('dumpMemory').catch(() => undefined)
      const child = await untilForked(app)
      // However quick the machine is, the child is at it for longer than it takes to trip.
      process.kill(child, 'SIGSTOP')
      app.order('spin', 60_000).catch(() => undefined)
      await sleep(2 * TRIPS_AFTER_MS)
      assert.deepEqual(artefacts(app), [], 'one dump at a time')
      process.kill(child, 'SIGCONT')
      const file = await until(() => artefacts(app, 'blocked-cpu-')[0], 'the profile of the blocked loop')
      const { silentMs } = sidecarOf(join(app.directory, file)).why.details
      assert.ok(Number(silentMs) > TRIPS_AFTER_MS, `counted ${String(silentMs)} ms of silence`)
      app.kill('SIGKILL')
      await app.ended
    },
  )

  test('is not blocked while the snapshot itself stops it', async (t) => {
    // Without addons nothing can be forked.
    const execArgv = ['--no-addons']
    const app = startApp(t, 'forking.js', options, { execArgv, env: { HEAP_MB: '60' } })
    await app.until('line', ({ text }) => text.includes('a thread of its own'))
    await app.order('leak')
    const { way, pauseMs } = await app.order<Dump>('dumpMemory')
    assert.equal(way, 'v8')
    assert.ok(pauseMs > TRIPS_AFTER_MS, `only ${pauseMs} ms, which says nothing`)
    // Long enough for a profile of it to appear.
    await sleep(1500)
    assert.deepEqual(artefacts(app, 'blocked-cpu-'), [])
  })
})
