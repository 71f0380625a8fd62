import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import * as rules from '../../../src/monitor/rules.js'

const { readRules } = rules
const whole = { name: 'heap-high', metric: 'heap', threshold: '85%', dump: 'memory' }
const refuses = (change: object, error: typeof TypeError | typeof RangeError, message: RegExp) =>
  assert.throws(
    () => readRules([{ ...whole, ...change }]),
    (thrown) => thrown instanceof error && message.test(thrown.message),
  )

test('without rules there are none', () => {
  assert.deepEqual(readRules(undefined), [])
  assert.deepEqual(readRules([]), [])
})

test('a rule has defaults for all but name, metric, threshold and dump', () => {
  assert.deepEqual(readRules([whole]), [
    {
      name: 'heap-high',
      metric: 'heap',
      threshold: 85,
      dump: 'memory',
      intervalMs: 1000,
      counter: 1,
      budget: { tokensPerInterval: 3, intervalMs: 3_600_000 },
    },
  ])
})

test('each metric has its own threshold', () => {
  const thresholdOf = (metric: unknown, threshold: unknown) =>
    readRules([{ ...whole, metric, threshold }])[0]?.threshold
  assert.equal(thresholdOf('eventLoopUtilization', '95%'), 95)
  assert.equal(thresholdOf('container', '90.5%'), 90.5)
  assert.equal(thresholdOf('external', '1kb'), 1024)
  assert.equal(thresholdOf('external', 0), 0)
  assert.equal(thresholdOf('eventLoopDelay', 200), 200)
  assert.equal(
    thresholdOf(() => 1, -5),
    -5,
  )
})

test('a function is kept for the main thread', () => {
  const read = () => 1
  const [rule] = readRules([{ ...whole, metric: read, threshold: 1 }])
  assert.equal(rule?.metric, 'function')
  assert.equal(rule.read, read)
})

describe('what is wrong is named, with what was expected and what was received', () => {
  test('a rule is an object of an array', () => {
    assert.throws(() => readRules({}), /options\.rules must be an array of rules; received an object$/)
    assert.throws(() => readRules([5]), /options\.rules\[0\] must be an object; received 5/)
    refuses({ counters: 3 }, TypeError, /options\.rules\[0\]\.counters is not an option/)
  })

  test('names', () => {
    refuses({ name: undefined }, TypeError, /rules\[0\]\.name must be 1 to 32 characters of a-z/)
    for (const name of ['', 'Heap', '-a', 'a-', 'a_b', 'a.b', '../a', 'a\n', 'a'.repeat(33)])
      refuses({ name }, RangeError, /rules\[0\]\.name must be/)
    for (const name of ['cpu', 'memory', 'threshold', 'blocked', 'leak', 'manual', 'heap-limit'])
      refuses({ name }, RangeError, /none of the reserved names cpu, memory/)
    assert.throws(() => readRules([whole, whole]), /rules\[1\]\.name must be a name that no other rule has/)
  })

  test('metrics, thresholds and dumps', () => {
    refuses({ metric: undefined }, TypeError, /metric must be a function, or one of heap, external/)
    refuses({ metric: 'heaps' }, RangeError, /metric must be/)
    refuses({ metric: 'function' }, RangeError, /metric must be/)
    refuses({ threshold: 85 }, TypeError, /threshold must be a string such as '85%'/)
    for (const threshold of ['0%', '101%', '85', ''])
      refuses({ threshold }, RangeError, /threshold must be a string such as '85%'/)
    refuses({ metric: 'external', threshold: '85%' }, RangeError, /a size such as '500mb'/)
    refuses({ metric: 'external', threshold: -1 }, RangeError, /at least 0/)
    refuses({ metric: 'eventLoopDelay', threshold: '200ms' }, TypeError, /a number of milliseconds/)
    refuses({ metric: () => 1, threshold: '5' }, TypeError, /must be a number; received a string \(not shown/)
    refuses({ metric: () => 1, threshold: NaN }, RangeError, /a finite number/)
    refuses({ dump: undefined }, TypeError, /dump must be 'cpu' or 'memory'/)
    refuses({ dump: 'both' }, RangeError, /dump must be 'cpu' or 'memory'/)
  })
})
