import assert from 'node:assert/strict'
import { test } from 'node:test'
import { UndoList } from '../../../src/base/undo-list.js'

function scene() {
  const failures: unknown[] = []
  const done: string[] = []
  return { failures, done, undo: new UndoList((error) => failures.push(error)) }
}

test('steps are undone in reverse order, each after the one before it has ended', async () => {
  const { undo, done } = scene()
  undo.add(() => void done.push('first'))
  undo.add(async () => {
    await Promise.resolve()
    done.push('second')
  })
  undo.add(() => void done.push('third'))
  await undo.run()
  assert.deepEqual(done, ['third', 'second', 'first'])
})

test('steps that need not be waited for are undone within the call', () => {
  const { undo, done } = scene()
  undo.add(() => void done.push('only'))
  void undo.run()
  assert.deepEqual(done, ['only'])
})

test('a step that throws or rejects is told and does not keep the others from running', async () => {
  const { undo, done, failures } = scene()
  const [thrown, rejected] = [new Error('thrown'), new Error('rejected')]
  undo.add(() => void done.push('first'))
  undo.add(() => {
    throw thrown
  })
  undo.add(() => Promise.reject(rejected))
  await undo.run()
  assert.deepEqual([done, failures], [['first'], [rejected, thrown]])
})

test('running it again does nothing and ends when the first run has ended', async () => {
  const { undo, done } = scene()
  undo.add(async () => {
    await Promise.resolve()
    done.push('once')
  })
  await Promise.all([undo.run(), undo.run()])
  await undo.run()
  assert.deepEqual(done, ['once'])
})
