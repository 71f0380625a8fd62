import assert from 'node:assert/strict'
import { EventEmitter } from 'node:events'
import { test, type TestContext } from 'node:test'
import { Monitor } from '../../../src/monitor/monitor.js'
import { resolveOptions } from '../../../src/monitor/options.js'

function start(t: TestContext): Monitor {
  const monitor = new Monitor(resolveOptions({ watchdog: false, signal: false, logger: false }))
  t.after(() => monitor.stop())
  return monitor
}

test('a monitor is an EventEmitter of its own, to whose events nobody needs to listen', async (t) => {
  const monitor = start(t)
  assert.ok(monitor instanceof EventEmitter)
  assert.deepEqual(monitor.eventNames(), [])
  await monitor.stop()
})

test('dumpCpu resolves to a failure for what is no duration, and asks for nothing', async (t) => {
  const monitor = start(t)
  for (const nonsense of [0, -1, 1.5, NaN, Infinity, 2 ** 31, '100', null, {}, 10n]) {
    const result = await monitor.dumpCpu(nonsense as number)
    assert.ok('skipped' in result && result.skipped === 'failed')
    assert.match(
      result.message,
      /^dumpCpu: durationMs must be a whole number from 1 to 2147483647; received /,
    )
  }
})

test('stop() is idempotent, and dumps afterwards resolve to stopped', async (t) => {
  const monitor = start(t)
  await Promise.all([monitor.stop(), monitor.stop()])
  await monitor.stop()
  assert.deepEqual(await monitor.dumpCpu(), { skipped: 'stopped' })
  assert.deepEqual(await monitor.dumpMemory(), { skipped: 'stopped' })
})

test('what is asked for and awaited keeps the process alive, and only until then', async (t) => {
  const timers = () => process.getActiveResourcesInfo().filter((type) => type === 'Timeout').length
  const before = timers()
  const monitor = start(t)
  assert.equal(timers(), before)
  const stopping = monitor.stop()
  assert.equal(timers(), before + 1)
  await stopping
  assert.equal(timers(), before)
})
