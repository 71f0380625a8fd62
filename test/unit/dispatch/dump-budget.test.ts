import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as dumpBudget from '../../../src/dispatch/dump-budget.js'

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
