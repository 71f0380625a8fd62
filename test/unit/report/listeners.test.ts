import assert from 'node:assert/strict'
import { EventEmitter } from 'node:events'
import { test } from 'node:test'
import { messageOf } from '../../../src/base/globals'
import { callListeners, say } from '../../../src/report/listeners.js'

const turn = () => new Promise((resolve) => setImmediate(resolve))

function logger(info: (line: string) => unknown) {
  return { info, warn: assert.fail, error: assert.fail }
}

test('a line is one line, and goes out at its level only', () => {
  const lines: string[] = []
  say(
    logger((line) => lines.push(line)),
    'info',
    'first \r\n  second\n\nthird',
  )
  assert.deepEqual(lines, ['first second third'])
})

test('a line has no character that a terminal obeys, and an end', () => {
  const lines: string[] = []
  const to = logger((line) => lines.push(line))
  say(to, 'info', `a\tb \x1b[31m \x07 \x9b \u202e ü 漢`)
  say(to, 'info', 'x'.repeat(100_000))
  assert.equal(lines[0], 'a\tb ?[31m ? ? ? ü 漢')
  assert.equal(lines[1]?.length, 8001)
})

test('blanks without a line break stay', () => {
  const lines: string[] = []
  say(
    logger((line) => lines.push(line)),
    'info',
    `a  b \t c \n\t d\u2028  e`,
  )
  assert.deepEqual(lines, ['a  b \t c d\u2028  e'])
})

test('a logger that throws or rejects is left alone', async () => {
  const throws = () => {
    throw new Error('on purpose')
  }
  say(logger(throws), 'info', 'x')
  say(
    logger(() => Promise.reject(new Error('on purpose'))),
    'info',
    'x',
  )
  await turn()
})

test('every listener is called with the event; what one throws or rejects with is handed over, by any kind of promise', async () => {
  const emitter = new EventEmitter<{ news: [string] }>()
  const thenable = { then: (_: unknown, reject: (error: string) => void) => reject('theirs') }
  const heard: string[] = []
  emitter.on('news', () => {
    throw new Error('thrown')
  })
  for (const result of [Promise.reject(new Error('mine')), thenable, Promise.resolve(1), 2, undefined]) {
    emitter.on('news', (payload): void => {
      heard.push(payload)
      // The type asks for nothing; a host's listener returns what it likes.
      return result as void
    })
  }
  emitter.once('news', (payload) => heard.push(payload))
  const errors: unknown[] = []
  for (const payload of ['first', 'second'])
    callListeners(emitter, 'news', payload, (error) => errors.push(error))
  await turn()
  assert.deepEqual(errors.map(messageOf).sort(), ['mine', 'mine', 'theirs', 'theirs', 'thrown', 'thrown'])
  assert.deepEqual([heard.filter((each) => each === 'first').length, heard.length], [6, 11])
})
