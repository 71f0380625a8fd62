import assert from 'node:assert/strict'
import type { ChildProcess } from 'node:child_process'
import { Socket } from 'node:net'
import { test, type TestContext } from 'node:test'
import { divertSockets } from '../../../src/cluster/divert-sockets'

/** A process that notes what it is sent. */
function worker(): { readonly process: ChildProcess; readonly sent: unknown[][] } {
  const sent: unknown[][] = []
  const send = (...args: unknown[]) => sent.push(args) > 0
  return { process: { send } as unknown as ChildProcess, sent }
}

function socket(t: TestContext): Socket {
  const made = new Socket()
  t.after(() => made.destroy())
  return made
}

test('a socket goes to the other worker with all that belongs to it, a message without one does not', (t) => {
  const [leaving, serving] = [worker(), worker()]
  divertSockets(leaving.process, () => serving.process)
  const handed = ['conn', socket(t), { keepOpen: true }, () => undefined] as const
  leaving.process.send(...handed)
  leaving.process.send('text')
  assert.deepEqual(serving.sent, [handed])
  assert.deepEqual(leaving.sent, [['text']])
})

test('without another worker it gets the socket itself', (t) => {
  const leaving = worker()
  divertSockets(leaving.process, () => undefined)
  const made = socket(t)
  leaving.process.send('conn', made)
  assert.deepEqual(leaving.sent, [['conn', made]])
})
