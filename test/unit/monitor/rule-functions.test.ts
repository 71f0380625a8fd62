import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import * as ruleFunctions from '../../../src/monitor/rule-functions.js'
import type { RuleFunction, RuleToRead } from '../../../src/monitor/rules.js'

const { FUNCTION_DEADLINE_MS, startRuleFunctions } = ruleFunctions

/** Calls the function of one rule until enough has been said. */
async function play(t: TestContext, read: RuleFunction, enough: number, deadlineMs?: number) {
  const said: string[] = []
  const hold = setInterval(() => undefined, 1000)
  t.after(() => clearInterval(hold))
  await new Promise<void>((resolve) => {
    const say = (what: string): void => {
      said.push(what)
      if (said.length === enough) resolve()
    }
    const rule: RuleToRead = {
      name: 'queue',
      metric: 'function',
      threshold: 5,
      dump: 'cpu',
      intervalMs: 1,
      counter: 1,
      budget: { tokensPerInterval: 1, intervalMs: 1 },
      read,
    }
    const stop = startRuleFunctions(
      [rule],
      { observe: (name, value) => say(`${name} ${value}`) },
      {
        failure: ({ stage, rule: of, message }) => say(`${stage} of ${of}: ${message}`),
        notice: (line) => say(line),
      },
      deadlineMs,
    )
    t.after(stop)
  })
  return said.slice(0, enough)
}

test('numbers are readings, from a function and from an async one', async (t) => {
  let number = 0
  assert.deepEqual(await play(t, () => ++number, 2), ['queue 1', 'queue 2'])
  assert.deepEqual(await play(t, () => Promise.resolve(7), 1), ['queue 7'])
})

test('one that throws is one failure, and its return to work one line', async (t) => {
  let calls = 0
  const read = () => {
    if (++calls <= 3) throw new Error('no queue')
    return calls
  }
  assert.deepEqual(await play(t, read, 3), [
    'sampling of queue: no queue',
    'queue readings work again',
    'queue 4',
  ])
})

test('one that rejects, or returns no finite number, is one failure', async (t) => {
  const rejects = () => Promise.reject(new Error('gone'))
  assert.deepEqual(await play(t, rejects, 1), ['sampling of queue: gone'])
  for (const [value, words] of [
    ['5', 'a string (not shown, because it may be a secret)'],
    [undefined, 'undefined'],
    [NaN, 'NaN'],
    [Infinity, 'Infinity'],
  ] as const)
    assert.deepEqual(await play(t, () => value as number, 1), [
      `sampling of queue: the function returned ${words}, not a finite number`,
    ])
})

test('one that never settles is one failure, and is not called again', async (t) => {
  let calls = 0
  const read = () => {
    calls++
    return new Promise<number>(() => undefined)
  }
  assert.deepEqual(await play(t, read, 1, 20), [
    'sampling of queue: the function has not returned a number within 20 ms',
  ])
  await new Promise((later) => setTimeout(later, 50))
  assert.equal(calls, 1)
})

test('one that settles late is called again', async (t) => {
  let calls = 0
  const read = () =>
    ++calls > 1 ? calls : new Promise<number>((resolve) => setTimeout(() => resolve(0), 60))
  assert.deepEqual(await play(t, read, 3, 20), [
    'sampling of queue: the function has not returned a number within 20 ms',
    'queue readings work again',
    'queue 2',
  ])
})

test('the deadline is the documented one', () => assert.equal(FUNCTION_DEADLINE_MS, 10_000))
