import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DumpBudget } from '../../../src/dispatch/budget.js'

const spend = (budget: DumpBudget, times: number) =>
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

test('what is left, and what a change of the terms leaves of it', () => {
  const budget = new DumpBudget({ tokensPerInterval: 3, intervalMs: 3_600_000 })
  assert.equal(budget.left, 3)
  budget.tryRemoveToken()
  budget.tryRemoveToken()
  assert.equal(budget.left, 1)
  budget.change({ tokensPerInterval: 5, intervalMs: 3_600_000 })
  assert.equal(budget.left, 3)
  budget.change({ tokensPerInterval: 1, intervalMs: 60_000 })
  assert.equal(budget.left, 0)
  assert.equal(budget.tryRemoveToken(), false)
  assert.equal(new DumpBudget({ tokensPerInterval: 0, intervalMs: 1000 }).left, 0)
})

test('a token that is returned can be taken again, and one that was never taken is not added', () => {
  const budget = new DumpBudget({ tokensPerInterval: 2, intervalMs: 3_600_000 })
  budget.returnToken()
  assert.deepEqual([budget.left, spend(budget, 3)], [2, [true, true, false]])
  budget.returnToken()
  assert.deepEqual([budget.left, spend(budget, 2)], [1, [true, false]])
  budget.returnToken()
  budget.returnToken()
  budget.returnToken()
  assert.deepEqual(spend(budget, 3), [true, true, false])
})

test('a change before the first dump spends nothing', () => {
  const budget = new DumpBudget({ tokensPerInterval: 3, intervalMs: 3_600_000 })
  budget.change({ tokensPerInterval: 2, intervalMs: 3_600_000 })
  assert.deepEqual([budget.left, budget.tryRemoveToken(), budget.left], [2, true, 1])
})
