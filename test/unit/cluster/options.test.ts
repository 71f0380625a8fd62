import assert from 'node:assert/strict'
import { availableParallelism } from 'node:os'
import { test } from 'node:test'
import { inspect } from 'node:util'
import * as defaults from '../../../src/cluster/options.js'
import { run } from '../../../src/cluster/run.js'

const { resolveClusterOptions: resolve } = defaults

test('the defaults', () => {
  assert.deepEqual(resolve(400_000_000, undefined, {}), {
    limitBytes: 400_000_000,
    hardLimitBytes: 0,
    count: availableParallelism(),
    checkIntervalMs: 5000,
    killTimeoutMs: 5000,
    lingerMs: undefined,
    startTimeoutMs: 30_000,
    minUptimeMs: 10_000,
    minLifetimeMs: 10_000,
    backoff: { baseMs: 1000, maxMs: 30_000 },
    maxSurge: 1,
    confirm: 1,
    signals: ['SIGTERM', 'SIGINT'],
    watchdog: false,
    dump: undefined,
    logger: undefined,
  })
})

test('dump: {} takes its defaults, false is none', () => {
  assert.deepEqual(resolve(1e9, { dump: {} }, {}).dump, {
    deadlineMs: 60_000,
    budget: { tokensPerInterval: 3, intervalMs: 3_600_000 },
    directory: process.cwd(),
    keep: 10,
    redact: false,
  })
  assert.equal(resolve(1e9, { dump: false }, {}).dump, undefined)
  assert.throws(
    () => resolve(1e9, { dump: true as unknown as false }, {}),
    /options\.dump must be an object; received true/,
  )
  assert.throws(() => resolve(1e9, { dump: { deadline: 0 } }, {}), /options\.dump\.deadline must be/)
  assert.throws(() => resolve(1e9, { dump: { keep: -1 } }, {}), /options\.dump\.keep must be/)
  assert.equal(resolve(1e9, { dump: { keep: false } }, {}).dump?.keep, false)
  assert.equal(resolve(1e9, { dump: { redact: true } }, {}).dump?.redact, true)
  assert.throws(() => resolve(1e9, { dump: { limiter: [-1, 'hour'] } }, {}), /options\.dump\.limiter\[0\]/)
  assert.throws(() => resolve(1e9, { dump: { profileDir: '' } }, {}), /options\.dump\.profileDir must be/)
})

test('the limit is bytes or a size', () => {
  assert.equal(resolve('400mb', {}, {}).limitBytes, 400 * 1024 * 1024)
  assert.equal(resolve('1.2GB', {}, {}).limitBytes, Math.floor(1.2 * 1024 ** 3))
  assert.equal(resolve(1.5e8, {}, {}).limitBytes, 1.5e8)
})

test('the environment gives what no option gives', () => {
  const environment = { CPU_COUNT: '3', CHECK_INTERVAL: '200', KILL_TIMEOUT: '7000', START_TIMEOUT: '9000' }
  const settings = resolve(1e9, {}, environment)
  assert.deepEqual(
    [settings.count, settings.checkIntervalMs, settings.killTimeoutMs, settings.startTimeoutMs],
    [3, 200, 7000, 9000],
  )
  const options = { count: 4, checkInterval: 300, killTimeout: 8000, startTimeout: 1 }
  const preferred = resolve(1e9, options, environment)
  assert.deepEqual(
    [preferred.count, preferred.checkIntervalMs, preferred.killTimeoutMs, preferred.startTimeoutMs],
    [4, 300, 8000, 1],
  )
})

test('as many as 1024 workers can be asked for', () => {
  assert.equal(resolve(1e9, {}, { CPU_COUNT: '1024' }).count, 1024)
  assert.equal(resolve(1e9, { count: 1024 }, {}).count, 1024)
})

test('an empty environment variable counts as none', () => {
  assert.equal(resolve(1e9, {}, { CPU_COUNT: '', CHECK_INTERVAL: ' ' }).count, availableParallelism())
  assert.equal(resolve(1e9, {}, { CPU_COUNT: '', CHECK_INTERVAL: ' ' }).checkIntervalMs, 5000)
})

for (const [name, value] of [
  ['CPU_COUNT', '0'],
  ['CPU_COUNT', 'abc'],
  ['CPU_COUNT', '1.5'],
  ['CPU_COUNT', '-1'],
  ['CPU_COUNT', '1025'],
  ['CPU_COUNT', '9007199254740991'],
  ['CHECK_INTERVAL', 'abc'],
  ['CHECK_INTERVAL', '0'],
  ['CHECK_INTERVAL', '5s'],
  ['CHECK_INTERVAL', '2147483648'],
  ['KILL_TIMEOUT', '1e3'],
  ['START_TIMEOUT', '0x10'],
] as const) {
  test(`${name}=${value} is refused by name`, () => {
    assert.throws(
      () => resolve(1e9, {}, { [name]: value }),
      (error: Error) =>
        error instanceof RangeError && error.message.includes(name) && error.message.includes(`'${value}'`),
    )
  })
}

for (const limit of ['1.2gbb', '1g', '512m', '1.2gib', '0', '', '-1mb', '80%', 0, -1, NaN, Infinity]) {
  test(`a limit of ${inspect(limit)} is out of range`, () => {
    assert.throws(() => resolve(limit, {}, {}), {
      name: 'RangeError',
      message: /^limit must be .*; received /,
    })
  })
}

for (const limit of [undefined, null, {}, [], true, 10n]) {
  test(`a limit of ${inspect(limit)} has the wrong type`, () => {
    assert.throws(() => resolve(limit as never, {}, {}), { name: 'TypeError', message: /^limit must be / })
  })
}

const REFUSED: readonly [key: string, value: unknown, error: string][] = [
  ['count', 0, 'RangeError'],
  ['count', 1.5, 'RangeError'],
  ['count', 1025, 'RangeError'],
  ['count', '2', 'TypeError'],
  ['checkInterval', 0, 'RangeError'],
  ['checkInterval', '5', 'TypeError'],
  ['killTimeout', 0, 'RangeError'],
  ['killTimeout', 2 ** 31, 'RangeError'],
  ['linger', -1, 'RangeError'],
  ['linger', 5000, 'RangeError'],
  ['linger', 'long', 'TypeError'],
  ['startTimeout', 0, 'RangeError'],
  ['minUptime', -1, 'RangeError'],
  ['minLifetime', NaN, 'RangeError'],
  ['backoff', 5, 'TypeError'],
  ['backoff', { base: 0 }, 'RangeError'],
  ['backoff', { base: 100, max: 50 }, 'RangeError'],
  ['backoff', { first: 1 }, 'TypeError'],
  ['maxSurge', 2, 'RangeError'],
  ['maxSurge', true, 'TypeError'],
  ['confirm', 0, 'RangeError'],
  ['hardLimit', 1e9, 'RangeError'],
  ['hardLimit', '1g', 'RangeError'],
  ['hardLimit', true, 'TypeError'],
  ['signals', 'SIGTERM', 'TypeError'],
  ['signals', ['SIGKILL'], 'RangeError'],
  ['signals', ['SIGNOTHING'], 'RangeError'],
  ['signals', [15], 'TypeError'],
  ['watchdog', 1, 'TypeError'],
  ['logger', {}, 'TypeError'],
  ['workers', 2, 'TypeError'],
]

for (const [key, value, name] of REFUSED) {
  test(`${key}: ${JSON.stringify(value)} is refused by name (${name})`, () => {
    assert.throws(
      () => resolve(1e9, { [key]: value }, {}),
      (error: Error) => error.name === name && error.message.includes(`options.${key}`),
    )
  })
}

test('without surge there must be a second worker', () => {
  assert.throws(() => resolve(1e9, { maxSurge: 0, count: 1 }, {}), /options.maxSurge/)
  assert.equal(resolve(1e9, { maxSurge: 0, count: 2 }, {}).maxSurge, 0)
})

test('0 is a value of its own where it makes sense', () => {
  const settings = resolve(1e9, { linger: 0, minUptime: 0, minLifetime: 0, hardLimit: 0 }, {})
  assert.deepEqual(
    [settings.lingerMs, settings.minUptimeMs, settings.minLifetimeMs, settings.hardLimitBytes],
    [0, 0, 0, 0],
  )
})

test('what is not a function is refused before anything is forked', () => {
  assert.throws(() => run(1e9, 'server.js' as never), { name: 'TypeError', message: /^runFunc must be / })
  assert.throws(() => run(1e9, () => undefined, 5 as never), {
    name: 'TypeError',
    message: /^cleanFunc must be /,
  })
  assert.throws(() => run('1g', () => undefined), { name: 'RangeError', message: /^limit must be / })
})
