import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { resolveClusterOptions } from '../../../src/cluster/options'
import { resolveRedisOptions } from '../../../src/hooks/redis/options'
import { S3_OPTIONS } from '../../../src/hooks/s3/declared'
import { resolveUploadOptions } from '../../../src/hooks/s3/options'
import { DECLARED_OPTIONS, optionsOf, variableOf } from '../../../src/monitor/declared'
import { readEnvironment } from '../../../src/monitor/environment'
import { resolveOptions, type Settings } from '../../../src/monitor/options'
import { resolveUpdate } from '../../../src/monitor/update'
import { anyJson, assertNotPolluted, runs } from '../../harness/fuzz'

const PLAUSIBLE: readonly unknown[] = [
  ...[undefined, NaN, Infinity, 1, 1000, 2 ** 31 - 1, false, true],
  ...[
    '0%',
    '80%',
    '100%',
    '101%',
    '1.2gbb',
    '1g',
    '1gb',
    '500mb',
    'hour',
    'auto',
    'builtin',
    'SIGUSR2',
    'SIGKILL',
  ],
  ...[[3, 'hour'], [0, 'day'], [1, 60_000], ['1', 'hour'], [3], [1, 0], [-1, 'day']],
  ...[() => 1, Symbol('odd'), 1n, new Date(NaN), new Map(), Object.create(null) as object],
  ...['redis://redis', 'https://s3.example', 'evidence', '<prefix>/<name>', '\0', 'required'],
]
const value: fc.Arbitrary<unknown> = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom(...PLAUSIBLE) },
  { weight: 2, arbitrary: anyJson },
  { weight: 1, arbitrary: fc.anything({ withBigInt: true, withNullPrototype: true, withDate: true }) },
)

/** An object with some of the keys; now and then one that does not exist. */
const objectOf = (keys: readonly string[], inner: fc.Arbitrary<unknown> = value): fc.Arbitrary<unknown> =>
  fc.dictionary(
    fc.oneof(
      { weight: 20, arbitrary: fc.constantFrom(...keys) },
      { weight: 1, arbitrary: fc.constantFrom('__proto__', 'constructor', 'treshold', '\n', '') },
    ),
    inner,
    { maxKeys: 5 },
  )

const LIVE = ['threshold', 'counter', 'limiter', 'duration']
const rule = fc.oneof(
  { weight: 1, arbitrary: value },
  {
    weight: 6,
    arbitrary: fc
      .tuple(objectOf(['name', 'metric', 'threshold', 'dump', 'interval', 'counter', 'limiter']), fc.nat(3))
      .map(([given, index]) => ({
        ...{ name: `rule-${index}`, metric: 'heap', threshold: '85%', dump: 'memory' },
        ...(given as object),
      })),
  },
)
const group = (of: 'cpu' | 'memory') => fc.oneof({ weight: 4, arbitrary: objectOf(optionsOf(of)) }, value)
const options = fc
  .tuple(objectOf(optionsOf()), group('cpu'), group('memory'), fc.array(rule, { maxLength: 3 }), fc.nat(7))
  .map(([top, cpu, memory, rules, which]) => ({
    ...(top as object),
    ...(which & 1 && { cpu }),
    ...(which & 2 && { memory }),
    ...(which & 4 && { rules }),
  }))

/** Settings, or an error of ours that begins with the name of what is wrong. */
function checkDoor<T>(
  name: string,
  input: fc.Arbitrary<T>,
  open: (given: T) => unknown,
  error: RegExp,
  errors: readonly unknown[] = [TypeError, RangeError],
): void {
  test(`${name}: settings, or an error that begins with the name of the option`, () => {
    let [accepted, refused] = [0, 0]
    fc.assert(
      fc.property(input, (given) => {
        try {
          open(given)
          accepted++
        } catch (thrown) {
          if (thrown instanceof assert.AssertionError) throw thrown
          const isOf = errors.some((each) => (thrown as Error).constructor === each)
          assert.ok(isOf && thrown instanceof Error, String(thrown))
          assert.match(thrown.message, error)
          refused++
        }
        assertNotPolluted()
      }),
      runs(1000),
    )
    // What is always refused, or never, would prove nothing.
    assert.ok(accepted > 0 && refused > 0, `${accepted} accepted, ${refused} refused`)
  })
}

const isMs = (ms: number) => Number.isInteger(ms) && ms >= 1 && ms < 2 ** 31

/** What the rest of the code relies on. */
function assertSound({ cpu, memory, rules, heapLimit, keep, engine }: Settings): void {
  for (const each of [cpu.rule, memory.rule, ...rules]) {
    if (!each) continue
    const { intervalMs, threshold, counter, budget } = each
    assert.ok(isMs(intervalMs), `interval ${intervalMs}`)
    const [number, isShare] =
      typeof threshold === 'number'
        ? [threshold, false]
        : threshold.unit === 'absolute'
          ? [threshold.value, false]
          : [threshold.percent, true]
    assert.ok(Number.isFinite(number), `threshold ${number}`)
    if (isShare) assert.ok(number > 0 && number <= 100, `share ${number}`)
    assert.ok(Number.isSafeInteger(counter) && counter >= 1, `counter ${counter}`)
    assert.ok(Number.isFinite(budget.tokensPerInterval) && budget.tokensPerInterval >= 0, 'tokens')
    assert.ok(budget.intervalMs > 0, `interval of a budget ${budget.intervalMs}`)
  }
  assert.ok(isMs(cpu.profileDurationMs))
  assert.ok(cpu.blockedMs === undefined || isMs(cpu.blockedMs))
  assert.ok(heapLimit === undefined || isMs(heapLimit.holdMs))
  assert.ok(keep === false || (Number.isSafeInteger(keep) && keep >= 0))
  assert.ok(typeof engine === 'object' || ['auto', 'packages', 'builtin'].includes(engine))
  for (const { directory } of [cpu, memory]) assert.match(directory, /^\/[^\0]*$/)
}

checkDoor(
  'the options of the monitor',
  fc.oneof({ weight: 9, arbitrary: options }, value),
  (given) => assertSound(resolveOptions(given as never)),
  /^options\b/,
)

const inForce = resolveOptions({
  cpu: {},
  memory: {},
  rules: [{ name: 'rule-0', metric: 'heap', threshold: '85%', dump: 'memory' }],
})
checkDoor(
  'an update',
  fc
    .tuple(objectOf(LIVE), objectOf(LIVE.slice(0, 3)), fc.array(objectOf(['name', ...LIVE])), fc.nat(7))
    .map(([cpu, memory, rules, which]) => ({
      ...(which & 1 && { cpu }),
      ...(which & 2 && { memory }),
      ...(which & 4 && { rules: rules.map((given) => ({ name: 'rule-0', ...(given as object) })) }),
    })),
  (given) => assertSound(resolveUpdate(given as never, inForce)),
  /^(options|update)\b/,
)

checkDoor(
  'the options of a cluster, and its environment',
  fc.tuple(
    fc.oneof(fc.constant('400mb'), fc.constant(4e8), value),
    objectOf([
      ...[
        'count',
        'checkInterval',
        'killTimeout',
        'linger',
        'startTimeout',
        'minUptime',
        'minLifetime',
        'backoff',
      ],
      ...['maxSurge', 'confirm', 'hardLimit', 'signals', 'watchdog', 'dump', 'logger'],
    ]),
    fc.dictionary(
      fc.constantFrom('CPU_COUNT', 'CHECK_INTERVAL', 'KILL_TIMEOUT'),
      fc.oneof(fc.string(), fc.constantFrom('2', ' 3 ', '0', '-1', '1e3', '99999999999', 'NaN')),
    ),
  ),
  ([limit, given, environment]) => {
    const settings = resolveClusterOptions(limit as never, given as never, environment)
    assert.ok(settings.limitBytes > 0 && Number.isFinite(settings.limitBytes))
    assert.ok(settings.count >= 1 && settings.count <= 1024)
    for (const ms of [settings.checkIntervalMs, settings.killTimeoutMs, settings.startTimeoutMs])
      assert.ok(isMs(ms), `${ms}`)
    assert.ok(settings.hardLimitBytes === 0 || settings.hardLimitBytes > settings.limitBytes)
  },
  /^(options|limit|environment variable)\b/,
)

checkDoor(
  'the options of Redis',
  objectOf(optionsOf('redis')).map((given) => ({
    url: 'redis://redis',
    service: 'shop',
    ...(given as object),
  })),
  (given) => assert.ok(isMs(resolveRedisOptions(given as never).timeoutMs)),
  /^options\.redis\b/,
)

checkDoor(
  'the options of S3',
  objectOf(S3_OPTIONS.map(({ option }) => option.split('.')[1] ?? '')).map((given) => ({
    bucket: 'evidence',
    ...(given as object),
  })),
  (given) => assert.ok(isMs(resolveUploadOptions(given).timeoutMs)),
  /^options\b/,
)

const VARIABLES = [...DECLARED_OPTIONS, ...S3_OPTIONS]
  .filter(({ variable }) => variable !== 'none')
  .map(({ option }) => variableOf(option))
const text = fc.oneof(
  fc.constantFrom(
    '80%',
    '1',
    'false',
    'true',
    '{}',
    '[]',
    '[2, "day"]',
    'null',
    '1gb',
    '',
    'SIGUSR2',
    'redis://r',
  ),
  fc.constantFrom(
    '{"__proto__": {"polluted": 1}}',
    '{"hold": 1}',
    '{',
    '\u001b[2J',
    '-1',
    '/var/x',
    'builtin',
  ),
  fc.json({ maxDepth: 2 }),
  fc.string(),
)
checkDoor(
  'the environment',
  fc.dictionary(
    fc.oneof(
      { weight: 20, arbitrary: fc.constantFrom(...VARIABLES) },
      { weight: 2, arbitrary: fc.constantFrom('CMM_ENABLED', 'CMM_CONFIG') },
      { weight: 1, arbitrary: fc.constantFrom('CMM_CPU_TRESHOLD', 'CMM_', 'CMM_\n', 'PATH', '__proto__') },
    ),
    text,
    { maxKeys: 5 },
  ),
  (environment) => {
    const plan = (given: unknown) => {
      resolveRedisOptions(given as never)
      return undefined as never
    }
    const upload = () => (given: unknown) => {
      resolveUploadOptions(given)
      return () => undefined
    }
    const settings = readEnvironment(environment, plan, upload)
    if (settings) assertSound(settings)
  },
  /^CMM_/,
  [Error],
)
