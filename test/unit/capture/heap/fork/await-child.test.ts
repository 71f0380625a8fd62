import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, mkdtempSync, rmSync } from 'node:fs'
import { constants, tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, afterEach, beforeEach, describe, it } from 'node:test'
import { awaitChild, type ChildGuard } from '../../../../../src/capture/heap/fork/await-child'
import type { ChildEnd } from '../../../../../src/capture/heap/fork/helper'
import { ASLEEP_AFTER_MS } from '../../../../../src/capture/heap/fork/verdict'
import { openPipe, pipeThatSays } from './pipe'

const EXIT_CODES = { jobFailed: 70, notDetached: 71, waitedForThread: 75 }
const REPORT = { snapshot: { sizeBytes: 1 }, peakBytes: 2 }
const calm: ChildGuard = {
  deadlineMs: 60_000,
  reserveBytes: 100,
  allowanceBytes: 2 ** 40,
  needBytes: 2 ** 30,
  availableBytes: () => 1000,
}
const { SIGALRM, SIGILL, SIGKILL, SIGSEGV, SIGSYS, SIGTERM } = constants.signals

describe('a forked child', { concurrency: 1 }, () => {
  // The guard keeps no thread alive, and so not this one either.
  const keepAlive = setInterval(() => {}, 1000)
  after(() => clearInterval(keepAlive))
  let directory = ''
  beforeEach(() => (directory = mkdtempSync(join(tmpdir(), 'cmm-child-'))))
  afterEach(() => rmSync(directory, { recursive: true, force: true }))

  /** A child that has ended already. */
  const ended = (end: ChildEnd | undefined, said = '', guard: Partial<ChildGuard> = {}) => {
    const child = { pid: 0x3fff_fff0, resultDescriptor: pipeThatSays(directory, said) }
    return awaitChild({ wait: () => end, exitCodes: EXIT_CODES }, child, { ...calm, ...guard })
  }
  /** A real process with the pipe in its hands. */
  const running = (guard: Partial<ChildGuard>, command: string) => {
    const { read, write } = openPipe(directory)
    const child = spawn('sh', ['-c', command], { stdio: ['ignore', 'ignore', 'ignore', write] })
    closeSync(write)
    const wait = (): ChildEnd | undefined => endOf(child)
    const awaited = { pid: child.pid ?? 0, resultDescriptor: read }
    return awaitChild({ wait, exitCodes: EXIT_CODES }, awaited, { ...calm, ...guard })
  }

  it('that reports has reported, however it ended', async () => {
    const said = JSON.stringify(REPORT)
    assert.deepEqual(await ended({ code: 0 }, said), { kind: 'reported', report: REPORT })
    assert.deepEqual(await ended({ signal: SIGKILL }, said), { kind: 'reported', report: REPORT })
  })

  for (const [what, end, kind] of [
    ['that needed a thread is stuck', { code: EXIT_CODES.waitedForThread }, 'stuck'],
    ['that crashed is stuck', { signal: SIGSEGV }, 'stuck'],
    ['that V8 ended is stuck', { signal: SIGILL }, 'stuck'],
    ['that was killed is out of memory', { signal: SIGKILL }, 'out of memory'],
    ['whose clock ran out was late', { signal: SIGALRM }, 'late'],
    ['that a signal from outside ended was ended', { signal: SIGTERM }, 'ended'],
    ['whose job threw failed', { code: EXIT_CODES.jobFailed }, 'failed'],
    ['that made a forbidden system call failed', { signal: SIGSYS }, 'failed'],
    ['that could not be cut off failed', { code: EXIT_CODES.notDetached }, 'failed'],
    ['that another part of the process reaped was ended', { lost: true }, 'ended'],
  ] as const) {
    it(what, async () => assert.equal((await ended(end)).kind, kind))
  }

  const mayStarve = { allowanceBytes: 1000, needBytes: 1001 }
  for (const [what, end, kind] of [
    ['that V8 ended is out of memory where it may have starved', { signal: SIGILL }, 'out of memory'],
    ['that crashed is stuck also where it may have starved', { signal: SIGSEGV }, 'stuck'],
    [
      'that a signal from outside ended was ended also where it may have starved',
      { signal: SIGTERM },
      'ended',
    ],
  ] as const) {
    it(what, async () => assert.equal((await ended(end, '', mayStarve)).kind, kind))
  }

  it('that says half of its report has not reported', async () => {
    assert.equal((await ended({ code: 0 }, '{"snapshot":')).kind, 'failed')
  })

  it('may go on while there is memory, and is heard to its end', async () => {
    const command = `sleep 0.4; printf '%s' '${JSON.stringify(REPORT)}' >&3`
    assert.deepEqual(await running({}, command), { kind: 'reported', report: REPORT })
  })

  it('is ended when the application needs the memory', async () => {
    const outcome = await running({ availableBytes: () => 99 }, 'exec sleep 60')
    assert.deepEqual(outcome, {
      kind: 'out of memory',
      why: 'the forked child was ended because it left too little memory for the application',
      leftBytes: 99,
    })
  })

  it('is ended at its deadline', async () => {
    const outcome = await running({ deadlineMs: 1 }, 'exec sleep 60')
    assert.deepEqual(outcome, {
      kind: 'late',
      why: 'the forked child was not done within its deadline and was ended',
    })
  })

  it('is ended when it waits on a lock and makes no progress', async () => {
    const lock = 'Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)'
    // Elsewhere it may sleep for longer than this deadline.
    const deadlineMs = ASLEEP_AFTER_MS / 2
    const outcome = await running({ deadlineMs }, `exec '${process.execPath}' --eval '${lock}'`)
    assert.deepEqual(outcome, { kind: 'stuck', why: 'the forked child made no progress and was ended' })
  })

  it('is not ended as soon when it sleeps elsewhere, as in a slow file system', async () => {
    const command = `sleep 4; printf '%s' '${JSON.stringify(REPORT)}' >&3`
    assert.deepEqual(await running({}, command), { kind: 'reported', report: REPORT })
  })

  it('that has ended is not waited for when the end of its pipe does not come', async () => {
    const { read, write } = openPipe(directory)
    const child = { pid: 0x3fff_fff0, resultDescriptor: read }
    const outcome = await awaitChild({ wait: () => ({ code: 0 }), exitCodes: EXIT_CODES }, child, calm)
    closeSync(write)
    assert.equal(outcome.kind, 'failed')
  })

  it('is never killed by its number once it has been reaped', async (t) => {
    const stranger = spawn('sleep', ['60'], { stdio: 'ignore' })
    t.after(() => stranger.kill('SIGKILL'))
    const { read, write } = openPipe(directory)
    const waits: number[] = []
    const helper = { wait: (pid: number) => (waits.push(pid), { code: 0 }), exitCodes: EXIT_CODES }
    const child = { pid: stranger.pid ?? 0, resultDescriptor: read }
    const outcome = awaitChild(helper, child, { ...calm, availableBytes: () => 0 })
    while (waits.length < 1 && stranger.signalCode === null) {
      await new Promise((later) => setTimeout(later, 20))
    }
    assert.equal(stranger.signalCode, null)
    closeSync(write)
    assert.equal((await outcome).kind, 'failed')
  })
})

function endOf({ exitCode, signalCode }: ChildProcess): ChildEnd | undefined {
  if (signalCode !== null) return { signal: constants.signals[signalCode] }
  return exitCode === null ? undefined : { code: exitCode }
}
