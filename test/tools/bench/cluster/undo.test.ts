import assert from 'node:assert/strict'
import { it } from 'node:test'
import { Undo } from './undo'

it('takes every step once, the last first, also when one of them fails', async (t) => {
  const told = t.mock.method(console, 'error', () => undefined)
  const taken: string[] = []
  const undo = new Undo()
  undo.after(() => taken.push('first'))
  undo.after(() => Promise.reject(new Error('on purpose')))
  undo.after(() => void taken.push('last'))

  await undo.run()
  await undo.run()

  assert.deepEqual(taken, ['last', 'first'])
  assert.match(String(told.mock.calls[0]?.arguments[0]), /on purpose/)
  assert.equal(told.mock.callCount(), 1)
})
