import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { compileTo, noCompiler } from '../../harness/compiler'
import { programs } from './heap-limit'

const sources = join(__dirname, '../../../src/native')
const skip = process.platform !== 'linux' ? 'needs Linux' : noCompiler

const LINE = "cpu-memory-monitor: the heap has reached V8's limit of 100 MB: "
const FULL = 'disk: full'

/** V8 can call before a collection that saves the process: then the process lives on, with a child at work. */
describe('a process that lives on after its heap limit', { skip }, () => {
  let directory: string
  before(() => {
    directory = mkdtempSync(join(tmpdir(), 'callback-alone-'))
    const program = join(directory, 'program')
    // glibc 2.28 has threads in a library of their own.
    const flags = ['-std=gnu11', '-O1', '-Werror', '-pthread', '-I', sources]
    compileTo(program, join(programs, 'callback-alone.c'), ...flags)
  })
  after(() => rmSync(directory, { recursive: true }))

  /** What the steps print, the callback's lines included. */
  const run = (...steps: string[]): string[] => {
    const input = `${steps.join('\n')}\n`
    const { stdout, status } = spawnSync(join(directory, 'program'), {
      input,
      encoding: 'utf8',
      timeout: 60_000,
    })
    assert.equal(status, 0, stdout)
    return stdout
      .trimEnd()
      .split('\n')
      .map((line) => line.replace(LINE, '- ').replace(/\/heap-limit-memory-\d+-\d+/, ' <name>'))
  }
  const ARMED = ['arm', `plan 1 ${FULL}`, 'plan 1 -']
  const writing = '- a forked child is writing  <name>.heapsnapshot'

  test('dumps again a minute after its child has ended, and reports that end once', () => {
    assert.deepEqual(
      run(...ARMED, 'limit', 'reap', 'end-child', 'reap', 'reap', 'wait 61', 'limit').slice(3),
      [...[writing, 'dumped', 'nothing', 'ended', 'reaped', 'nothing', 'waited', writing, 'dumped']],
    )
  })

  test('does not dump twice within a minute: V8 calls several times in a row', () => {
    assert.deepEqual(run(...ARMED, 'limit', 'end-child', 'limit', 'wait 58', 'limit').slice(3), [
      ...[writing, 'dumped', 'ended', 'declined', 'waited', 'declined'],
    ])
  })

  test('does not fork while its child is still at work, however long that takes', () => {
    const refused = '- no dump: the child of an earlier dump is still writing'
    assert.deepEqual(run(...ARMED, 'limit', 'wait 61', 'limit', 'end-child', 'limit').slice(3), [
      ...[writing, 'dumped', 'waited', refused, 'declined', 'ended', writing, 'dumped'],
    ])
  })

  test('dumps at once when a dump has become possible after a refusal, and repeats no line within a minute', () => {
    const steps = ['arm', `plan 1 ${FULL}`, 'plan 1 full', 'limit', 'limit', 'plan 1 -', 'limit']
    assert.deepEqual(run(...steps).slice(3), [
      ...['- no dump: full', 'declined', 'declined', 'planned', writing, 'dumped'],
    ])
  })

  test('follows the first plan: a program may fill its heap before there is another', () => {
    assert.deepEqual(run('arm', 'plan 1 -', 'limit').slice(2), [writing, 'dumped'])
    assert.deepEqual(run('arm', 'plan 1 full', 'limit').slice(2), ['- no dump: full', 'declined'])
  })

  test('follows no plan of a watch that belonged to an earlier arming', () => {
    const again = ['disarm', 'plan 1 -', 'arm', 'plan 1 -', `plan 2 ${FULL}`, 'plan 1 -', 'limit']
    const seen = run(...ARMED, ...again)
    assert.deepEqual(seen.slice(-2), [`- no dump: ${FULL}`, 'declined'])
    assert.equal(seen[5], 'armed 2')
  })

  test('does nothing before its first plan and after it was disarmed', () => {
    assert.deepEqual(run('arm', 'limit', 'plan 1 -', 'disarm', 'limit'), [
      ...['armed 1', 'declined', 'planned', 'disarmed', 'not called'],
    ])
  })

  test('forks once, however short it may hold the process and however busy the machine is', () => {
    // The last one pauses before its fork, and the time is over then.
    for (const hold of [['hold 1'], ['hold 50'], ['busy', 'hold 60']]) {
      const steps = [...hold, 'arm', `plan 1 ${FULL}`, 'plan 1 -', 'limit']
      assert.deepEqual(run(...steps).slice(-2), [writing, 'dumped'])
    }
  })

  test('does not fork beside an ordinary child where the kernel would kill all of them together', () => {
    const refused =
      '- no dump: memory: another forked child is writing a snapshot, and there may not be enough for two'
    const together = run('kill-group', ...ARMED, 'ordinary-child', 'limit', 'end-ordinary', 'limit')
    assert.deepEqual(together.slice(5), [refused, 'declined', 'ended', writing, 'dumped'])
    assert.deepEqual(run(...ARMED, 'ordinary-child', 'limit').slice(4), [writing, 'dumped'])
  })
})
