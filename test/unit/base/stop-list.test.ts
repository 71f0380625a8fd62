import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createStopList } from '../../../src/base/stop-list.js'

function scene() {
  const failures: unknown[] = []
  const done: string[] = []
  return { failures, done, list: createStopList((error) => failures.push(error)) }
}

test('stops are called in reverse order, each after the one before it has ended', async () => {
  const { list, done } = scene()
  list.add(() => void done.push('first'))
  list.add(async () => {
    await Promise.resolve()
    done.push('second')
  })
  list.add(() => void done.push('third'))
  await list.stop()
  assert.deepEqual(done, ['third', 'second', 'first'])
})

test('a stop that need not be waited for is called within the call', () => {
  const { list, done } = scene()
  list.add(() => void done.push('only'))
  void list.stop()
  assert.deepEqual(done, ['only'])
})

test('a stop that throws or rejects is reported and does not keep the others from being called', async () => {
  const { list, done, failures } = scene()
  const [thrown, rejected] = [new Error('thrown'), new Error('rejected')]
  list.add(() => void done.push('first'))
  list.add(() => {
    throw thrown
  })
  list.add(() => Promise.reject(rejected))
  await list.stop()
  assert.deepEqual([done, failures], [['first'], [rejected, thrown]])
})

test('a second call does nothing and resolves when the first has ended', async () => {
  const { list, done } = scene()
  list.add(async () => {
    await Promise.resolve()
    done.push('once')
  })
  await Promise.all([list.stop(), list.stop()])
  await list.stop()
  assert.deepEqual(done, ['once'])
})
