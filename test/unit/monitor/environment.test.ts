import assert from 'node:assert/strict'
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { FLEET_PLAN, type FleetPlan } from '../../../src/dispatch/fleet'
import { type RedisOptions, resolveRedisOptions } from '../../../src/hooks/redis/options'
import { DECLARED_OPTIONS, variableOf } from '../../../src/monitor/declared'
import { PRELOAD_DEFAULTS, readEnvironment } from '../../../src/monitor/environment'
import { type Options, resolveOptions } from '../../../src/monitor/options'

test('without variables the defaults are those of the documentation', () => {
  assert.deepEqual(PRELOAD_DEFAULTS, {
    cpu: { threshold: '90%', counter: 3 },
    memory: { threshold: '85%', counter: 3 },
  })
  assert.deepEqual(readEnvironment({ HOME: '/root', CMM_CONFIG: '' }), resolveOptions(PRELOAD_DEFAULTS))
})

test('each option has a variable, which means what the option means', () => {
  const { cpu, memory } = PRELOAD_DEFAULTS
  const values: Record<string, unknown> = {
    'cpu.limiter': [5, 'hour'],
    'memory.limiter': [2, 'day'],
    'memory.heapLimit': { hold: 20_000 },
    rules: [],
  }
  for (const { option, example, variable } of DECLARED_OPTIONS) {
    if (option === 'cpu' || option === 'memory' || variable === 'none' || option.startsWith('redis.'))
      continue
    const [group = '', name] = option.split('.')
    const value =
      values[option] ?? (/^(true|false|\d+)$/.test(example) ? (JSON.parse(example) as unknown) : example)
    const defaults: Record<string, object> = { cpu: cpu ?? {}, memory: memory ?? {} }
    const options = {
      ...defaults,
      [group]: name === undefined ? value : { ...defaults[group], [name]: value },
    }
    assert.deepEqual(
      readEnvironment({ [variableOf(option)]: example }),
      resolveOptions(options as Options),
      option,
    )
  }
  assert.equal(variableOf('memory.heapLimit'), 'CMM_MEMORY_HEAP_LIMIT')
})

test('those of Redis are handed to the entry together, and make the option fleet', () => {
  const given: unknown[] = []
  const makeFleet = (options: unknown) => {
    given.push(options)
    return Object.defineProperty({ file: '/redis', settings: 1, inWords: 'a fleet' }, FLEET_PLAN, {
      value: true,
    })
  }
  const ofRedis = DECLARED_OPTIONS.filter(({ option }) => option.startsWith('redis.'))
  const environment = Object.fromEntries(ofRedis.map(({ option, example }) => [variableOf(option), example]))
  assert.equal(readEnvironment(environment, makeFleet)?.fleet?.file, '/redis')
  const [all] = given
  assert.deepEqual(all, {
    ...{ url: 'redis://redis:6379', service: 'shop', cpu: [5, 'hour'], memory: [2, 'day'] },
    ...{ insurance: 0, timeout: 500, client: 'ioredis' },
  })
  assert.ok(resolveRedisOptions(all as unknown as RedisOptions))
  assert.equal(
    readEnvironment({ CMM_CONFIG: '{"redis":{"service":"shop"}}' }, makeFleet)?.fleet?.file,
    '/redis',
  )
  assert.deepEqual(given[1], { service: 'shop' })
  assert.equal(readEnvironment({}, makeFleet)?.fleet, undefined)
  assert.equal(given.length, 2)
})

test('a group can be switched off and on, whatever else is given for it', () => {
  const off = readEnvironment({ CMM_CPU: 'false', CMM_CPU_THRESHOLD: '60' })
  assert.equal(off?.cpu.rule, undefined)
  assert.ok(off?.memory.rule)
  const on = readEnvironment({ CMM_CONFIG: '{}', CMM_CPU: 'true', CMM_CPU_COUNTER: '7' })
  assert.equal(on?.cpu.rule?.counter, 7)
  assert.equal(on?.memory.rule, undefined)
})

test('a configuration switches a group by true and false too, and by nothing else', () => {
  const off = readEnvironment({ CMM_CONFIG: '{"cpu":false,"memory":true}' })
  assert.deepEqual(off, resolveOptions({ memory: {} }))
  const on = readEnvironment({ CMM_CONFIG: '{"cpu":false}', CMM_CPU_COUNTER: '7' })
  assert.equal(on?.cpu.rule?.counter, 7)
  for (const value of ['null', '0', '"false"'])
    assert.throws(
      () => readEnvironment({ CMM_CONFIG: `{"cpu":${value}}` }),
      /^Error: CMM_CONFIG: options\.cpu must be an object/,
    )
})

test('a configuration, as JSON or in a file, takes the place of the defaults; variables go before it', (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'environment-'))
  t.after(() => rmSync(directory, { recursive: true, force: true }))
  const file = join(directory, 'monitor.json')
  const config = { cpu: { threshold: 70, counter: 2 }, keep: 4 }
  writeFileSync(file, JSON.stringify(config))
  for (const text of [file, JSON.stringify(config)]) {
    assert.deepEqual(readEnvironment({ CMM_CONFIG: text }), resolveOptions(config))
    const changed = resolveOptions({ ...config, cpu: { threshold: 80, counter: 2 } })
    assert.deepEqual(readEnvironment({ CMM_CONFIG: text, CMM_CPU_THRESHOLD: '80' }), changed)
  }
})

test('the file of a configuration has an absolute path, and nobody else can write it', (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'environment-'))
  t.after(() => rmSync(directory, { recursive: true, force: true }))
  const file = join(directory, 'monitor.json')
  writeFileSync(file, '{"keep":4}', { mode: 0o644 })
  const before = process.cwd()
  process.chdir(directory)
  t.after(() => process.chdir(before))
  for (const relativePath of ['monitor.json', './monitor.json'])
    assert.throws(() => readEnvironment({ CMM_CONFIG: relativePath }), {
      message:
        /^CMM_CONFIG .*: the path must be absolute, such as \/etc\/shop\/monitor\.json, because child processes/,
    })
  assert.equal(readEnvironment({ CMM_CONFIG: file })?.keep, 4)
  chmodSync(file, 0o646)
  assert.throws(() => readEnvironment({ CMM_CONFIG: file }), {
    message:
      /^CMM_CONFIG .*: it is writable for all users; it must belong to root or the user of the process/,
  })
})

test('it can be switched off', () => {
  for (const text of ['false', '0']) assert.equal(readEnvironment({ CMM_ENABLED: text }), undefined)
  for (const text of ['true', '1', '']) assert.ok(readEnvironment({ CMM_ENABLED: text }), text)
})

test('what is wrong is refused by the name of the variable', () => {
  const cases: readonly [NodeJS.ProcessEnv, RegExp][] = [
    [{ CMM_ENABLED: 'maybe' }, /^CMM_ENABLED must be true or false; received 'maybe'$/],
    [{ CMM_MEMORY_THRESHOLD: '1.2gbb' }, /^CMM_MEMORY_THRESHOLD: .*received '1.2gbb'/],
    [{ CMM_CPU_LIMITER: '[1]' }, /^CMM_CPU_LIMITER: /],
    [{ CMM_CPU: '5' }, /^CMM_CPU: options\.cpu must be an object; received 5/],
    [{ CMM_REDIS_URL: 'redis' }, /^CMM_REDIS_URL: options\.redis\.url must be a URL such as/],
    [{ CMM_REDIS_SERVICE: 'shop' }, /^CMM_REDIS_\*: options\.redis\.url must be .*received undefined$/],
    [{ CMM_REDIS: '{}' }, /^CMM_REDIS is not a variable/],
    [{ CMM_CONFIG: '{"redis":{}}' }, /^CMM_CONFIG: options\.redis\.url must be/],
    [
      { CMM_CONFIG: '{"fleet":{"file":"/tmp/other.js"}}' },
      /^CMM_CONFIG: options\.fleet must be what redisBudget/,
    ],
    [
      { CMM_CPU_TRESHOLD: '5' },
      /^CMM_CPU_TRESHOLD is not a variable of cpu-memory-monitor; the nearest is CMM_CPU_THRESHOLD$/,
    ],
    [{ CMM_SOMETHING_ELSE: '5' }, /^CMM_SOMETHING_ELSE is not a variable of cpu-memory-monitor$/],
    [{ CMM_CONFIG: '{"cpu":{"treshold":1}}' }, /^CMM_CONFIG: options\.cpu\.treshold is not an option/],
    [{ CMM_CONFIG: '{' }, /^CMM_CONFIG \(JSON, or the path of a JSON file\) cannot be read: /],
    [
      { CMM_CONFIG: '/none/at/all' },
      /^CMM_CONFIG \(JSON, or the path of a JSON file\) cannot be read: ENOENT/,
    ],
  ]
  const makeFleet = (options: unknown): FleetPlan =>
    assert.fail(typeof resolveRedisOptions(options as RedisOptions))
  for (const [environment, message] of cases)
    assert.throws(
      () => readEnvironment(environment, makeFleet),
      (error) => message.test((error as Error).message),
    )
})

test('no error shows a piece of CMM_CONFIG, which may hold a password', () => {
  const url = 'redis://user:s3cret@redis'
  const cases: readonly [string, RegExp][] = [
    [
      url,
      /cannot be read: the path must be absolute, such as \/etc\/shop\/monitor\.json, because child processes/,
    ],
    [`{"redis":{"url":${url}}}`, /cannot be read: the JSON is damaged$/],
    [`{"redis":{"url":"${url}"},}`, /cannot be read: the JSON is damaged at position 45$/],
    [
      `{"cpu":"${url}"}`,
      /^CMM_CONFIG: options\.cpu must be an object; received a string \(not shown, because it may be a secret\)$/,
    ],
    [`{"fleet":{"url":"${url}"}}`, /^CMM_CONFIG: options\.fleet must be .*; received an object$/],
    [
      `{"${url}":1}`,
      /^CMM_CONFIG: options: a key that is not shown, because it may be a secret, is not an option/,
    ],
  ]
  for (const [CMM_CONFIG, message] of cases)
    assert.throws(
      () => readEnvironment({ CMM_CONFIG }),
      (error) => message.test((error as Error).message) && !/s3cret/.test((error as Error).message),
      CMM_CONFIG,
    )
})

test('docs/without-code.md has the table of all variables', () => {
  const page = readFileSync(join(__dirname, '../../../docs/without-code.md'), 'utf8')
  const rows = [...page.matchAll(/^\| `(CMM_\w+)` +\| `([\w.]+)` +\| `(.+)` +\|$/gm)]
  assert.deepEqual(
    rows.map(([, variable, option, example]) => ({ variable, option, example })),
    DECLARED_OPTIONS.filter(({ variable }) => variable !== 'none').map(({ option, example }) => ({
      variable: variableOf(option),
      option,
      example,
    })),
  )
})
