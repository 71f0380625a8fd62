import assert from 'node:assert/strict'
import { test } from 'node:test'
import { operate, run, runSync } from '../../dist/files/step.js'
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
