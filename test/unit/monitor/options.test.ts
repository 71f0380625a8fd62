import assert from 'node:assert/strict'
import { EventEmitter } from 'node:events'
import { test } from 'node:test'
import type { Options } from '../../../src/monitor/options.js'
import * as options from '../../../src/monitor/options.js'

const { absoluteThreshold, resolveOptions } = options
const refuses = (wrong: unknown, error: typeof TypeError | typeof RangeError, message: RegExp) =>
  assert.throws(
    () => resolveOptions(wrong as Options),
    (thrown) => thrown instanceof error && message.test(thrown.message),
  )

test('the defaults are those of the documentation', () => {
  const settings = resolveOptions({ cpu: {}, memory: {} })
  const budget = { tokensPerInterval: 3, intervalMs: 3_600_000 }
  const common = { intervalMs: 1000, counter: 1, budget }
  assert.deepEqual(settings.cpu, {
    directory: process.cwd(),
    rule: { ...common, threshold: { unit: 'absolute', value: 90 } },
    profileDurationMs: 30_000,
    blockedMs: 5000,
  })
  assert.deepEqual(settings.memory, {
    directory: process.cwd(),
    rule: { ...common, threshold: { unit: 'absolute', value: 1_288_490_188 } },
    sampling: true,
    redact: false,
  })
  assert.deepEqual(settings.heapLimit, { holdMs: 10_000 })
  assert.equal(settings.leakPair, true)
  assert.equal(settings.signal, 'SIGUSR2')
  assert.equal(settings.watchdog, true)
  assert.equal(settings.engine, 'auto')
  assert.equal(settings.keep, 10)
})

test('only what is configured is watched; a dump by hand needs a directory and a duration all the same', () => {
  const { cpu, memory, heapLimit, leakPair } = resolveOptions()
  const directory = process.cwd()
  assert.deepEqual(cpu, { directory, rule: undefined, profileDurationMs: 30_000, blockedMs: undefined })
  assert.deepEqual(memory, { directory, rule: undefined, sampling: false, redact: false })
  assert.deepEqual([heapLimit, leakPair], [undefined, false])
})

test('0 is a value, not an absence (1.x swallowed it)', () => {
  const settings = resolveOptions({
    cpu: { threshold: 0, limiter: [0, 'hour'] },
    memory: { threshold: 0 },
    keep: 0,
  })
  assert.deepEqual(settings.cpu.rule?.threshold, { unit: 'absolute', value: 0 })
  assert.deepEqual(settings.memory.rule?.threshold, { unit: 'absolute', value: 0 })
  assert.equal(settings.cpu.rule?.budget.tokensPerInterval, 0)
  assert.equal(settings.keep, 0)
})

test('false switches off', () => {
  const settings = resolveOptions({ cpu: { blocked: false }, signal: false, keep: false, logger: false })
  assert.deepEqual(
    [settings.cpu.blockedMs, settings.signal, settings.keep, settings.logger],
    [undefined, undefined, false, false],
  )
})

test('directories: a key of its own goes before the top level', () => {
  const settings = resolveOptions({ profileDir: '/a', cpu: { profileDir: '/b' }, memory: {} })
  assert.deepEqual([settings.cpu.directory, settings.memory.directory], ['/b', '/a'])
})

test('shares of what the process may use', () => {
  const settings = resolveOptions({ cpu: { threshold: '80%' }, memory: { threshold: '85.5 %' } })
  assert.deepEqual(settings.cpu.rule?.threshold, { unit: 'share', percent: 80 })
  assert.deepEqual(settings.memory.rule?.threshold, { unit: 'share', percent: 85.5 })
})

test('an absolute threshold is itself, a share is taken of what the process may use', () => {
  assert.equal(absoluteThreshold({ unit: 'absolute', value: 250 }, 400), 250)
  assert.equal(absoluteThreshold({ unit: 'share', percent: 80 }, 400), 320)
  assert.equal(absoluteThreshold({ unit: 'share', percent: 100 }, 1_000_000_000), 1_000_000_000)
})

for (const [wrong, error, message] of [
  [null, TypeError, /^options must be an object; received null$/],
  [[], TypeError, /^options must be an object/],
  [{ cpus: {} }, TypeError, /^options\.cpus is not an option; options takes cpu, memory/],
  [{ cpu: { treshold: 1 } }, TypeError, /^options\.cpu\.treshold is not an option/],
  [{ cpu: { sampling: true } }, TypeError, /^options\.cpu\.sampling is not an option/],
  [{ cpu: true }, TypeError, /^options\.cpu must be an object; received true$/],
  [{ cpu: { interval: 0 } }, RangeError, /^options\.cpu\.interval must be a whole number .*; received 0$/],
  [{ cpu: { interval: -1 } }, RangeError, /received -1$/],
  [{ cpu: { interval: 1.5 } }, RangeError, /received 1\.5$/],
  [{ cpu: { interval: NaN } }, RangeError, /received NaN$/],
  [{ cpu: { interval: 2 ** 31 } }, RangeError, /options\.cpu\.interval.*2147483647/],
  [{ cpu: { interval: '1000' } }, TypeError, /received a string \(not shown, because it may be a secret\)$/],
  [{ cpu: { duration: 0 } }, RangeError, /^options\.cpu\.duration/],
  [{ cpu: { blocked: 0 } }, RangeError, /^options\.cpu\.blocked/],
  [{ cpu: { blocked: true } }, TypeError, /^options\.cpu\.blocked .*, or false; received true/],
  [{ cpu: { threshold: -1 } }, RangeError, /^options\.cpu\.threshold/],
  [{ cpu: { threshold: Infinity } }, RangeError, /^options\.cpu\.threshold/],
  [{ cpu: { threshold: '80' } }, RangeError, /^options\.cpu\.threshold/],
  [{ cpu: { threshold: '0%' } }, RangeError, /^options\.cpu\.threshold.*received '0%'$/],
  [{ cpu: { threshold: '101%' } }, RangeError, /^options\.cpu\.threshold/],
  [{ cpu: { threshold: null } }, TypeError, /^options\.cpu\.threshold/],
  [{ memory: { threshold: '1.2gbb' } }, RangeError, /^options\.memory\.threshold.*received '1\.2gbb'$/],
  [{ memory: { threshold: '1g' } }, RangeError, /^options\.memory\.threshold/],
  [{ memory: { threshold: '0%' } }, RangeError, /^options\.memory\.threshold/],
  [{ memory: { threshold: -5 } }, RangeError, /^options\.memory\.threshold/],
  [{ memory: { threshold: 5n } }, TypeError, /^options\.memory\.threshold/],
  [{ memory: { counter: 0 } }, RangeError, /^options\.memory\.counter/],
  [{ memory: { counter: 1.5 } }, RangeError, /^options\.memory\.counter/],
  [{ memory: { limiter: ['x'] } }, RangeError, /^options\.memory\.limiter must be an array of two values/],
  [{ memory: { limiter: ['x', 'hour'] } }, TypeError, /^options\.memory\.limiter\[0\]/],
  [{ memory: { limiter: [undefined, 'hour'] } }, TypeError, /^options\.memory\.limiter\[0\]/],
  [{ memory: { limiter: [-1, 'hour'] } }, RangeError, /^options\.memory\.limiter\[0\]/],
  [{ memory: { limiter: [1, 'week'] } }, RangeError, /^options\.memory\.limiter\[1\].*received 'week'$/],
  [{ memory: { limiter: [1, 'toString'] } }, RangeError, /^options\.memory\.limiter\[1\]/],
  [{ memory: { limiter: [1, 0] } }, RangeError, /^options\.memory\.limiter\[1\]/],
  [{ memory: { limiter: 3 } }, TypeError, /^options\.memory\.limiter/],
  [{ memory: { sampling: 1 } }, TypeError, /^options\.memory\.sampling/],
  [{ memory: { leakPair: 'yes' } }, TypeError, /^options\.memory\.leakPair must be true or false/],
  [{ profileDir: '' }, RangeError, /^options\.profileDir/],
  [{ profileDir: 'a\0b' }, RangeError, /^options\.profileDir/],
  [{ profileDir: 7 }, TypeError, /^options\.profileDir/],
  [{ signal: 'SIGKILL' }, RangeError, /^options\.signal.*received 'SIGKILL'$/],
  [{ signal: 'SIGSTOP' }, RangeError, /^options\.signal/],
  [{ signal: 'SIGPROF' }, RangeError, /^options\.signal/],
  [{ signal: 'SIGUSR1' }, RangeError, /^options\.signal/],
  [{ signal: 'SIGFOO' }, RangeError, /^options\.signal/],
  [{ signal: true }, TypeError, /^options\.signal/],
  [{ watchdog: 'yes' }, TypeError, /^options\.watchdog/],
  [{ engine: 'v8' }, RangeError, /^options\.engine/],
  [{ engine: 1 }, TypeError, /^options\.engine/],
  [{ engine: null }, TypeError, /^options\.engine/],
  [{ engine: [] }, TypeError, /^options\.engine must be 'auto', /],
  [{ engine: { memwatch: {} } }, TypeError, /^options\.engine\.memwatch is not an option; .* memwatch-next/],
  [{ engine: { heapdump: 'heapdump' } }, TypeError, /^options\.engine\['heapdump'\] must be the package/],
  [{ engine: { heapdump: null } }, TypeError, /^options\.engine\['heapdump'\] .* received null/],
  [{ engine: { heapdump: {} } }, TypeError, /^options\.engine\['heapdump'\] .* writeSnapshot; received/],
  [
    { engine: { 'v8-profiler-next': { startProfiling() {} } } },
    TypeError,
    /^options\.engine\['v8-profiler-next'\] .* stopProfiling; received/,
  ],
  [{ keep: -1 }, RangeError, /^options\.keep/],
  [{ keep: true }, TypeError, /^options\.keep/],
  [{ logger: true }, TypeError, /^options\.logger/],
  [
    { logger: { info() {} } },
    TypeError,
    /^options\.logger must be an object with the functions info, warn and error/,
  ],
] as const) {
  test(`refuses ${JSON.stringify(wrong, (_, value: unknown) => (typeof value === 'bigint' ? `${value}n` : value))}`, () =>
    refuses(wrong, error, message))
}

test('takes packages from the application; what is no such package, or undefined, is not taken', () => {
  const heapdump = { writeSnapshot() {} }
  const memwatch = Object.assign(new EventEmitter(), { HeapDiff() {} })
  const engine = { heapdump, 'memwatch-next': memwatch, 'v8-profiler-next': undefined }
  assert.deepEqual(resolveOptions({ engine }).engine, { heapdump, 'memwatch-next': memwatch })
  refuses(
    { engine: { 'memwatch-next': new EventEmitter() } },
    TypeError,
    /^options\.engine\['memwatch-next'\]/,
  )
})

test('a hostile value makes an error of ours, not another one', () => {
  const hostile = {
    get [Symbol.toStringTag]() {
      throw new Error('gotcha')
    },
  }
  refuses({ engine: { heapdump: hostile } }, TypeError, /^options\.engine\['heapdump'\]/)
  refuses({ engine: 'x'.repeat(1e6) }, RangeError, /^options\.engine.{0,300}$/)
})

test('memory.heapLimit is true, false or an object with `hold`', () => {
  const heapLimit = (value: unknown) => resolveOptions({ memory: { heapLimit: value } } as Options).heapLimit
  assert.deepEqual(heapLimit(true), { holdMs: 10_000 })
  assert.deepEqual(heapLimit({}), { holdMs: 10_000 })
  assert.deepEqual(heapLimit({ hold: 250 }), { holdMs: 250 })
  assert.equal(heapLimit(false), undefined)
  refuses(
    { memory: { heapLimit: 'yes' } },
    TypeError,
    /options\.memory\.heapLimit must be true, false or an object/,
  )
  refuses({ memory: { heapLimit: { hold: 0 } } }, RangeError, /options\.memory\.heapLimit\.hold must be/)
  refuses({ memory: { heapLimit: { wait: 1 } } }, TypeError, /wait is not an option/)
})
