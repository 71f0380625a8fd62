import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as readingLoop from '../../../src/watch/watch.js'

const { startReadingLoop } = readingLoop
type Reading = number | undefined | Error

/** Plays the readings one after the other, and stops when they are used up. */
async function play(kind: 'cpu' | 'memory', readings: readonly Reading[]) {
  const left = [...readings]
  const heard: string[] = []
  const observed: { value: number; sinceMs: number }[] = []
  let nowMs = 0
  // The loop's own timer keeps nothing alive.
  const hold = setInterval(() => undefined, 1000)
  await new Promise<void>((done) => {
    const stop = startReadingLoop({
      name: kind,
      isMean: kind === 'cpu',
      intervalMs: 1,
      sampler: {
        sample() {
          if (left.length === 0) {
            // The loop awaits this round before it stops.
            setImmediate(() => void stop().then(done))
            return Promise.resolve(undefined)
          }
          const next = left.shift()
          return next instanceof Error ? Promise.reject(next) : Promise.resolve(next)
        },
      },
      dispatcher: { observe: (_kind, value, sinceMs) => void observed.push({ value, sinceMs }) },
      clock: { monotonicMs: () => (nowMs += 1000) },
      report: {
        failure: ({ stage, message }) => void heard.push(`${stage}: ${message}`),
        notice: (line) => void heard.push(line),
      },
    })
  })
  clearInterval(hold)
  return { observed, heard }
}

test('a CPU reading speaks of the time since the one before it', async () => {
  const { observed } = await play('cpu', [undefined, 50, 60])
  assert.deepEqual(observed, [
    { value: 50, sinceMs: 1000 },
    { value: 60, sinceMs: 2000 },
  ])
})

test('a memory reading speaks of its moment', async () => {
  const { observed } = await play('memory', [50, 60])
  assert.deepEqual(
    observed.map(({ sinceMs }) => sinceMs),
    [1000, 2000],
  )
})

test('a lasting failure is told once, and its end once; the loop goes on', async () => {
  const { observed, heard } = await play('cpu', [new Error('no file'), new Error('no file'), 50, 60])
  assert.deepEqual(heard, ['sampling: no file', 'cpu readings work again'])
  assert.equal(observed.length, 2)
})

test('after a failure a CPU reading speaks of its own moment on, whatever came before', async () => {
  const { observed } = await play('cpu', [50, new Error('no file'), 60])
  assert.deepEqual(
    observed.map(({ sinceMs }) => sinceMs),
    [1000, 3000],
  )
})

test('readings that work are not talked about', async () => {
  assert.deepEqual((await play('cpu', [50, 60])).heard, [])
})
