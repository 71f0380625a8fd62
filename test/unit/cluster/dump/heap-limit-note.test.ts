import assert from 'node:assert/strict'
import fs, { chownSync, linkSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { heapLimitNote, mayHaveReachedHeapLimit } from '../../../../src/cluster/dump/heap-limit'
import { MAX_NAMES } from '../../../../src/files/retention'
import { scratch } from '../../../harness/program'

const worker = { pid: 7, code: null, signal: 'SIGABRT' }
const nameOf = (startedAtMs: number): string => `heap-limit-memory-7-${startedAtMs}.heapsnapshot.json`
const noteOn = (directory: string): Promise<string> => heapLimitNote(worker, directory)
const ANOTHER = 65_534
const isRoot = process.getuid?.() === 0

test('the line of a lost worker names the dump that it has just left, once for both files', async (t) => {
  const directory = scratch(t)
  const base = `heap-limit-memory-7-${Date.now() - 1000}`
  for (const extension of ['.heapprofile', '.heapsnapshot'])
    writeFileSync(join(directory, `${base}${extension}.json`), '{}')
  assert.equal(await noteOn(directory), `: its heap reached V8's limit, see ${join(directory, base)}.*`)
  assert.equal(await heapLimitNote({ ...worker, pid: 8 }, directory), '')
  assert.equal(await noteOn(join(directory, 'missing')), '')
})

test('it names no file of an earlier process, of the future or of another kind', async (t) => {
  const directory = scratch(t)
  for (const name of [nameOf(Date.now() - 120_000), nameOf(9_999_999_999_999), nameOf(Date.now() + 60_000)])
    writeFileSync(join(directory, name), '{}')
  const nowMs = Date.now()
  symlinkSync('/etc/passwd', join(directory, nameOf(nowMs - 1)))
  fs.mkdirSync(join(directory, nameOf(nowMs - 2)))
  assert.equal(await noteOn(directory), '')
})

test('nor one of another user', { skip: !isRoot && 'only root may give files away' }, async (t) => {
  const directory = scratch(t)
  const nowMs = Date.now()
  const [file, link] = [1, 2].map((ms) => join(directory, nameOf(nowMs - ms))) as [string, string]
  writeFileSync(file, '{}')
  assert.notEqual(await noteOn(directory), '')
  chownSync(file, ANOTHER, ANOTHER)
  linkSync(file, link)
  assert.equal(await noteOn(directory), '')
})

test('a directory of many names is read in pieces, between which the event loop turns, and not to its end', async (t) => {
  const directory = scratch(t)
  const read = endless(t, directory)
  let turns = 0
  const turning = setInterval(() => void (turns += 1), 1)
  t.after(() => clearInterval(turning))
  assert.equal(await noteOn(directory), '')
  assert.ok(read() > MAX_NAMES / 2 && read() <= MAX_NAMES + 1, `${read()} names were read`)
  assert.ok(turns > 10, `the event loop turned ${turns} times`)
})

test('a worker that ended in another way than V8 ends it left no such dump', () => {
  for (const [code, signal] of [
    [134, null],
    [null, 'SIGABRT'],
    [null, 'SIGTRAP'],
  ] as const)
    assert.equal(mayHaveReachedHeapLimit({ pid: 7, code, signal }), true)
  for (const [code, signal] of [
    [1, null],
    [0, null],
    [null, 'SIGKILL'],
  ] as const)
    assert.equal(mayHaveReachedHeapLimit({ pid: 7, code, signal }), false)
})

/** Has each directory look as if it held names without end. @returns How many of them have been read. */
function endless(t: TestContext, directory: string): () => number {
  let read = 0
  t.mock.method(fs, 'readdirSync', () => assert.fail(`all names of ${directory} are read at once`))
  t.mock.method(fs, 'opendirSync', () => ({
    readSync: () => ({ name: `${++read}${'x'.repeat(200)}` }),
    closeSync: () => undefined,
  }))
  return () => read
}
