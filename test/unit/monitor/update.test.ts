import assert from 'node:assert/strict'
import { test } from 'node:test'
import { resolveOptions } from '../../../src/monitor/options'
import { resolveUpdate, type Update } from '../../../src/monitor/update'

const OPTIONS = { cpu: { threshold: 60, counter: 3, duration: 5000 }, memory: { threshold: '85%' } }

test('what is given changes, the rest stays', () => {
  const settings = resolveOptions(OPTIONS)
  const updated = resolveUpdate({ cpu: { threshold: '80%', limiter: [9, 'day'] } }, settings)
  const expected = resolveOptions({
    ...OPTIONS,
    cpu: { ...OPTIONS.cpu, threshold: '80%', limiter: [9, 'day'] },
  })
  assert.deepEqual(updated, expected)
  assert.deepEqual(resolveUpdate({}, settings), settings)
  assert.equal(resolveUpdate({ cpu: { duration: 7 } }, settings).cpu.profileDurationMs, 7)
})

test('what is wrong, fixed or not watched is refused by name', () => {
  const wrong: readonly [object, RegExp, ErrorConstructor][] = [
    [{ cpu: { threshold: -1 } }, /^options\.cpu\.threshold must be/, RangeError],
    [{ cpu: { counter: 'three' } }, /^options\.cpu\.counter must be/, TypeError],
    [{ cpu: { treshold: 5 } }, /^options\.cpu\.treshold is not an option/, TypeError],
    [
      { cpu: { interval: 5 } },
      /^options\.cpu\.interval cannot be changed .* takes threshold, counter, limiter, duration$/,
      TypeError,
    ],
    [{ memory: { sampling: false } }, /^options\.memory\.sampling cannot be changed/, TypeError],
    [{ signal: false }, /^update\.signal is not an option; update takes cpu, memory, rules$/, TypeError],
  ]
  const settings = resolveOptions(OPTIONS)
  for (const [update, message, type] of wrong)
    assert.throws(
      () => resolveUpdate(update, settings),
      (error: Error) => error.constructor === type && message.test(error.message),
    )
  assert.throws(
    () => resolveUpdate({ memory: {} }, resolveOptions({ cpu: {} })),
    /^Error: memory is not watched/,
  )
})

const RULES = [
  { name: 'queue', metric: () => 5, threshold: 100, dump: 'cpu' },
  { name: 'heap', metric: 'heap', threshold: '80%', dump: 'memory' },
] as const

test('a rule changes by its name; the others stay', () => {
  const settings = resolveOptions({ rules: RULES })
  const { rules } = resolveUpdate({ rules: [{ name: 'heap', threshold: '90%', counter: 4 }] }, settings)
  assert.deepEqual(rules, [settings.rules[0], { ...settings.rules[1], threshold: 90, counter: 4 }])
  assert.deepEqual(resolveUpdate({ rules: [] }, settings).rules, settings.rules)
})

test('a rule that does not exist, a wrong value and what is fixed are refused', () => {
  const settings = resolveOptions({ rules: RULES })
  const wrong: readonly [unknown, RegExp][] = [
    [{}, /^TypeError: update\.rules must be an array of rules/],
    [
      [{ name: 'none', threshold: 1 }],
      /^RangeError: update\.rules\[0\]\.name must be the name of a rule \(queue, heap\)/,
    ],
    [[{ name: 'heap', threshold: 5 }], /^TypeError: update\.rules\[0\]\.threshold must be/],
    [
      [{ name: 'heap' }, { name: 'queue', interval: 5 }],
      /^TypeError: update\.rules\[1\]\.interval cannot be changed/,
    ],
    [[{ name: 'heap', speed: 5 }], /^TypeError: update\.rules\[0\]\.speed is not an option/],
  ]
  for (const [rules, message] of wrong)
    assert.throws(() => resolveUpdate({ rules } as Update, settings), message)
})
