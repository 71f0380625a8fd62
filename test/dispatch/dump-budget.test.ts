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

test('what is left moves to a thread with a clock of its own, whenever that one takes it up', (t) => {
  let [sharedMs, ownMs] = [500_000, 1000]
  t.mock.method(performance, 'now', () => ownMs)
  const pass = (ms: number) => ([sharedMs, ownMs] = [sharedMs + ms, ownMs + ms])
  const options = { tokensPerInterval: 2, intervalMs: 60_000 }
  const first = new DumpBudget(options)
  spend(first, 1)
  const left = structuredClone(first.left(sharedMs))
  pass(10_000)
  ownMs = 3
  const second = new DumpBudget(options, { left, nowMs: sharedMs })
  assert.deepEqual(spend(second, 2), [true, false])
  pass(49_000)
  assert.deepEqual(spend(second, 1), [false])
  pass(1000)
  assert.deepEqual(spend(second, 1), [true])
})

test('what has dripped in while nobody had it is not lost', (t) => {
  let [sharedMs, ownMs] = [500_000, 1000]
  t.mock.method(performance, 'now', () => ownMs)
  const options = { tokensPerInterval: 2, intervalMs: 60_000 }
  const first = new DumpBudget(options)
  spend(first, 2)
  const left = structuredClone(first.left(sharedMs))
  sharedMs += 45_000
  ownMs = 3
  const second = new DumpBudget(options, { left, nowMs: sharedMs })
  ownMs += 15_000
  assert.deepEqual(spend(second, 3), [true, true, false])
})

test('an untouched budget leaves nothing to move', () => {
  assert.equal(new DumpBudget({ tokensPerInterval: 2, intervalMs: 1000 }).left(0), undefined)
})

test('tells of every token taken, and of none refused', () => {
  let spent = 0
  spend(new DumpBudget({ tokensPerInterval: 2, intervalMs: 1000 }, { onSpent: () => spent++ }), 4)
  assert.equal(spent, 2)
})
