import assert from 'node:assert/strict'
import { EventEmitter } from 'node:events'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test, type TestContext } from 'node:test'
import * as v8 from 'node:v8'
import { type Options, resolveOptions } from '../../../../src/monitor/options.js'
import { startMonitoring } from '../../../../src/monitor/start/start.js'
import { type MonitorEvents, Voice } from '../../../../src/monitor/voice.js'
import { readLimits } from '../../../../src/system/limits.js'

const quiet = { watchdog: false, signal: false } as const
/** The process of the tests is not to be profiled: that would spoil its coverage. */
const both = { ...quiet, cpu: { threshold: '99%' }, memory: { threshold: '99%', sampling: false } }

function start(t: TestContext, options: Options) {
  const lines: string[] = []
  const log = (level: string) => (text: string) => void lines.push(`${level} ${text}`)
  const logger = { info: log('info'), warn: log('warn'), error: log('error') }
  const voice = new Voice(new EventEmitter<MonitorEvents>(), logger)
  const monitoring = startMonitoring(resolveOptions(options), voice)
  t.after(() => monitoring.stop())
  return { monitoring, lines }
}

// The work rests on unref'd timers between its pieces.
const hold = setInterval(() => undefined, 1000)
after(() => clearInterval(hold))

test('a key that is watched cannot be watched again until that monitor has stopped', async (t) => {
  const { monitoring } = start(t, { ...quiet, cpu: { threshold: 1e9 } })
  assert.throws(() => start(t, both), /already watches cpu in this process/)
  const other = start(t, { ...quiet, memory: both.memory })
  await Promise.all([monitoring.stop(), other.monitoring.stop()])
  await start(t, both).monitoring.stop()
})

test('a call that throws has claimed nothing and started nothing', async (t) => {
  const before = process.eventNames().map((name) => process.listenerCount(name))
  assert.throws(() => start(t, { ...both, engine: 'packages' }), /options\.engine is 'packages'/)
  assert.deepEqual(
    process.eventNames().map((name) => process.listenerCount(name)),
    before,
  )
  await start(t, both).monitoring.stop()
})

test('the start is one info line, beside warnings; after stop() a request resolves to stopped', async (t) => {
  const { monitoring, lines } = start(t, both)
  assert.deepEqual(
    lines.map((line) => line.split(' ').slice(0, 2).join(' ')).filter((line) => !line.startsWith('warn')),
    ['info watching'],
  )
  await monitoring.stop()
  assert.deepEqual(await monitoring.dumpByHand('memory', {}), { skipped: 'stopped' })
})

test('the directory is there, and for its owner only, when the first dump by hand is made', async (t) => {
  const parent = mkdtempSync(join(tmpdir(), 'start-'))
  t.after(() => rmSync(parent, { recursive: true, force: true }))
  const { monitoring } = start(t, { ...quiet, profileDir: join(parent, 'new') })
  // Stopping waits for the directory as a dump does.
  await monitoring.stop()
  assert.deepEqual(readdirSync(parent), ['new'])
})

test('update() warns of a threshold that cannot be passed, or hardly, once, and not of one that can', (t) => {
  const { heap_size_limit: heapLimitBytes } = v8.getHeapStatistics()
  const { memoryLimitBytes, totalMemoryBytes } = readLimits()
  const wholeBytes = memoryLimitBytes ?? totalMemoryBytes
  const hardlyBytes = Math.round((heapLimitBytes + wholeBytes) / 2)
  if (hardlyBytes < heapLimitBytes + 500e6) return t.skip("V8's heap limit is the memory of this machine")
  const { monitoring, lines } = start(t, { ...quiet, cpu: { threshold: '99%' }, memory: { sampling: false } })
  const warnings = (update: Parameters<typeof monitoring.update>[0]): string[] => {
    lines.length = 0
    monitoring.update(update)
    return lines.filter((line) => line.startsWith('warn'))
  }
  const memory = (threshold: number) => ({ memory: { threshold } })
  const isOne = (of: RegExp, found: readonly string[]): void => {
    assert.equal(found.length, 1, found.join('\n'))
    assert.match(found[0] ?? '', of)
  }

  isOne(/memory threshold of .* is unlikely to be reached/, warnings(memory(hardlyBytes)))
  assert.deepEqual(warnings(memory(hardlyBytes)), [])
  isOne(/the CPU threshold/, warnings({ cpu: { threshold: 1e9 } }))
  assert.deepEqual(warnings({ cpu: { counter: 3 } }), [])
  isOne(/memory threshold .*never/, warnings(memory(wholeBytes * 2)))
  assert.deepEqual(warnings(memory(1e8)), [])
  isOne(/memory threshold of .* is unlikely to be reached/, warnings(memory(hardlyBytes)))
})
