import assert from 'node:assert/strict'
import { test } from 'node:test'
import { operate, Run, run, runSync } from '../../dist/files/step.js'
import type { Steps } from '../../src/files/step'

function* echo(heard: string[]): Steps<string> {
  const first = yield* operate({ sync: () => 'sync', async: () => Promise.resolve('async') })
  heard.push(first)
  try {
    yield* operate({ sync: fail, async: () => Promise.resolve().then(fail) })
  } catch (error) {
    heard.push((error as Error).message)
  } finally {
    heard.push('finally')
  }
  return first
}

function fail(): never {
  throw new Error('failed')
}

function* failing(): Steps<void> {
  yield* operate<void>({ sync: fail, async: () => Promise.resolve().then(fail) })
}

test('a story runs with and without an event loop, its own error handling included', async () => {
  const heard: string[] = []
  assert.equal(await run(echo(heard)), 'async')
  assert.equal(runSync(echo(heard)), 'sync')
  assert.deepEqual(heard, ['async', 'failed', 'finally', 'sync', 'failed', 'finally'])
})

test('what a story does not catch reaches its caller', async () => {
  await assert.rejects(run(failing()), /failed/)
  assert.throws(() => runSync(failing()), /failed/)
})

const never = () => false

/** A story that waits for ever on the event loop, and not without one. */
function* waiting(heard: string[]): Steps<string> {
  for (const name of ['first', 'second', 'third']) {
    heard.push(
      yield* operate({
        sync: () => `${name} now`,
        async: () => (name === 'first' ? Promise.resolve(name) : new Promise<string>(() => undefined)),
      }),
    )
  }
  return 'end'
}

const turn = () => new Promise((resolve) => setImmediate(resolve))

test('a story under way is brought to its end from where it stands, once', async () => {
  const heard: string[] = []
  const story = new Run(waiting(heard))
  await turn()
  assert.equal(story.finishNow(never), 'end')
  assert.deepEqual(heard, ['first', 'second now', 'third now'])
  assert.equal(await story.done, 'end')
  assert.equal(story.finishNow(never), undefined)
})

test('a story that has ended is not told again', async () => {
  const heard: string[] = []
  const story = new Run(echo(heard))
  await story.done
  assert.equal(story.finishNow(never), undefined)
  assert.deepEqual(heard, ['async', 'failed', 'finally'])
})

test('what the event loop still brings after the end was taken over changes nothing', async () => {
  const heard: string[] = []
  const story = new Run(echo(heard))
  assert.equal(story.finishNow(never), 'sync')
  await turn()
  assert.deepEqual(heard, ['sync', 'failed', 'finally'])
})

test('what fails on the way to the end is thrown, and told to who waits', async () => {
  const story = new Run(failing())
  assert.throws(() => story.finishNow(never), /failed/)
  await assert.rejects(story.done, /failed/)
})

test('when the time is over the story is left where it stands', async () => {
  const heard: string[] = []
  const story = new Run(waiting(heard))
  await turn()
  let asked = 0
  assert.equal(
    story.finishNow(() => ++asked > 1),
    undefined,
  )
  assert.deepEqual(heard, ['first', 'second now'])
})

function* leaving(heard: string[]): Steps<void> {
  const first = operate<unknown>({ sync: () => undefined, async: () => new Promise(() => undefined) })
  if (heard.length === 0) yield* first
  const hear = (where: string) => void heard.push(where)
  yield* operate<void>({
    sync: () => hear('sync'),
    async: () => Promise.resolve(hear('async')),
    atExit: () => hear('at exit'),
  })
}

test('what an operation does at exit is done then, and only then', async () => {
  const heard: string[] = []
  new Run(leaving(heard)).finishNow(never)
  assert.deepEqual(heard, ['at exit'])
  runSync(leaving(heard))
  await run(leaving(heard))
  assert.deepEqual(heard, ['at exit', 'sync', 'async'])
})
