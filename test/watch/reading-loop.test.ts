import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import type { DumpKind, Failure } from '../../dist/dispatch/events.js'
import { startReadingLoop } from '../../dist/watch/reading-loop.js'

type Step = number | undefined | Error

/** Runs a loop over a sampler that gives what the script says, and ends it with the script. */
async function run(t: TestContext, kind: DumpKind, script: readonly Step[]) {
  const observed: { value: number; sinceMs: number }[] = []
  const failures: Failure[] = []
  const notices: string[] = []
  let [nowMs, closed] = [0, 0]
  const steps = [...script]
  let end!: () => void
  const ended = new Promise<void>((resolve) => (end = resolve))
  const hold = setInterval(() => undefined, 1000)
  t.after(() => clearInterval(hold))
  const stop = startReadingLoop({
    ...{ kind, intervalMs: 1 },
    sampler: {
      sample: () => {
        if (steps.length === 0) end()
        const step = steps.shift()
        return step instanceof Error ? Promise.reject(step) : Promise.resolve(step)
      },
      close: () => Promise.resolve(void closed++),
    },
    dispatcher: { observe: (_, value, sinceMs) => void observed.push({ value, sinceMs }) },
    clock: { monotonicMs: () => (nowMs += 10) },
    report: { failure: (failure) => failures.push(failure), notice: (line) => notices.push(line) },
  })
  await ended
  await stop()
  return { observed, failures, notices, closed }
}

test('memory readings speak of the moment they were begun', async (t) => {
  const { observed } = await run(t, 'memory', [5, 6])
  assert.deepEqual(observed, [
    { value: 5, sinceMs: 10 },
    { value: 6, sinceMs: 20 },
  ])
})

test('CPU readings speak of the span since the one before; one without a value is not handed on', async (t) => {
  const { observed } = await run(t, 'cpu', [undefined, 50, 60])
  assert.deepEqual(observed, [
    { value: 50, sinceMs: 10 },
    { value: 60, sinceMs: 20 },
  ])
})

test('failing readings are one failure when they begin and one line when they end, and reading goes on', async (t) => {
  const fault = new Error('no /proc')
  const { observed, failures, notices } = await run(t, 'memory', [1, fault, fault, fault, 2, 3, fault, 4])
  assert.deepEqual(
    observed.map(({ value }) => value),
    [1, 2, 3, 4],
  )
  const failure = { stage: 'sampling', kind: 'memory', message: 'no /proc', error: fault }
  assert.deepEqual(failures, [failure, failure])
  assert.deepEqual(notices, ['memory readings are back', 'memory readings are back'])
})

test('readings that never fail say nothing', async (t) => {
  const { failures, notices, closed } = await run(t, 'memory', [1, 2, 3])
  assert.deepEqual([failures, notices, closed], [[], [], 1])
})

test('the CPU reading after failed ones speaks of no span that the failures lay in', async (t) => {
  const { observed } = await run(t, 'cpu', [10, new Error('x'), 20, 30])
  assert.deepEqual(observed, [
    { value: 10, sinceMs: 10 },
    { value: 20, sinceMs: 30 },
    { value: 30, sinceMs: 30 },
  ])
})
