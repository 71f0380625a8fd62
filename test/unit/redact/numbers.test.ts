import assert from 'node:assert/strict'
import {
  appendFileSync,
  closeSync,
  mkdtempSync,
  openSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { Input } from '../../../src/redact/input'
import { Output } from '../../../src/redact/output'
import { redactedChunks, redactSnapshot } from '../../../src/redact/snapshot'
import { parkedOrders, smallSnapshot } from '../reader/small-snapshot'

const LARGEST = Number.MAX_SAFE_INTEGER

test('a number of a list is read up to 2^53 - 1, whatever zeros it begins with, and a larger one is refused', (t) => {
  const input = new Input(opened(t, `${LARGEST},${'0'.repeat(400)}7,${LARGEST + 1}]`))
  assert.deepEqual([input.number(), input.number()], [LARGEST, 7])
  assert.throws(() => input.number(), /cannot be redacted: a number in it is too large/)
})

test('a number of 400 digits ends the redaction of a snapshot, and one of 400 zeros does not', (t) => {
  const snapshot = smallSnapshot(parkedOrders(3))
  assert.ok(snapshot.includes('"nodes":[9,0,1,'))
  const redacted = (digit: string): number =>
    redactSnapshot(
      opened(t, snapshot.replace('"nodes":[9,0,1,', `"nodes":[9,0,${digit.repeat(400)},`)),
      () => undefined,
    )
  assert.ok(redacted('0') > 0)
  assert.throws(() => redacted('9'), /a number in it is too large/)
})

test('a zero byte between numbers and strings, the hole of a sparse file, ends the redaction, and spaces do not', (t) => {
  const snapshot = smallSnapshot(parkedOrders(3))
  for (const list of ['"nodes":[', '"edges":[', '"strings":[']) {
    const redacted = (space: string): number =>
      redactSnapshot(opened(t, snapshot.replace(list, list + space)), () => undefined)
    assert.ok(redacted(' \t\r\n') > 0)
    assert.throws(() => redacted('\0'), /contains (more than numbers|values that are not strings)/)
  }
})

test('bytes that are appended while a snapshot is read are not read', (t) => {
  const whole = smallSnapshot(parkedOrders(3))
  const cut = whole.slice(0, -10)
  const length = Buffer.byteLength(cut)
  assert.ok(redactSnapshot(opened(t, whole), () => undefined) > 0)
  assert.throws(() => redactSnapshot(opened(t, whole), () => undefined, length), /it ends within/)
  const fd = opened(t, cut)
  const chunks = redactedChunks(fd)
  chunks.next()
  const file = readlinkSync(`/proc/self/fd/${fd}`)
  appendFileSync(file, whole.slice(-10))
  assert.throws(() => [...chunks], /it ends within/)
})

test('a whole number is written in its digits, and nothing else is written', () => {
  const output = new Output()
  for (const value of [0, 9, 10, 4096, LARGEST]) {
    output.number(value)
    assert.equal(output.take().toString(), `${value}`)
  }
  for (const value of [-1, 0.5, LARGEST + 1, NaN, Infinity])
    assert.throws(() => output.number(value), RangeError, `${value}`)
  assert.equal(output.take().length, 0)
})

function opened(t: TestContext, content: string): number {
  const directory = mkdtempSync(join(tmpdir(), 'numbers-'))
  writeFileSync(join(directory, 'file'), content)
  const fd = openSync(join(directory, 'file'), 'r')
  t.after(() => {
    closeSync(fd)
    rmSync(directory, { recursive: true })
  })
  return fd
}
