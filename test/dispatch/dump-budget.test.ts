import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as dumpBudget from '../../dist/dispatch/dump-budget.js'

const { DumpBudget } = dumpBudget
const spend = (budget: InstanceType<typeof DumpBudget>, times: number) =>
  Array.from({ length: times }, () => budget.tryRemoveToken())

test('gives n tokens, then none within the interval', () => {
  const budget = new DumpBudget({ tokensPerInterval: 2, intervalMs: 3_600_000 })
  assert.deepEqual(spend(budget, 4), [true, true, false, false])
})

test('0 tokens: none', () => {
  assert.deepEqual(spend(new DumpBudget({ tokensPerInterval: 0, intervalMs: 1000 }), 2), [false, false])
})

test('counts the interval from the first token, not from the start of the process', (t) => {
  let nowMs = 1000
  t.mock.method(performance, 'now', () => nowMs)
  const budget = new DumpBudget({ tokensPerInterval: 2, intervalMs: 60_000 })
  nowMs += 59_000
  assert.deepEqual(spend(budget, 3), [true, true, false])
  nowMs += 59_000
  assert.deepEqual(spend(budget, 1), [false])
  nowMs += 1000
  assert.deepEqual(spend(budget, 3), [true, true, false])
})

test('what is left moves to another thread', (t) => {
  let nowMs = 1000
  t.mock.method(performance, 'now', () => nowMs)
  const options = { tokensPerInterval: 2, intervalMs: 60_000 }
  const first = new DumpBudget(options)
  spend(first, 1)
  nowMs += 10_000
  const second = new DumpBudget(options, structuredClone(first.left()))
  assert.deepEqual(spend(second, 2), [true, false])
  nowMs += 50_000
  assert.deepEqual(spend(second, 1), [true])
})

test('an untouched budget leaves nothing to move', () => {
  assert.equal(new DumpBudget({ tokensPerInterval: 2, intervalMs: 1000 }).left(), undefined)
})
