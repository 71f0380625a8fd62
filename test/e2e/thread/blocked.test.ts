import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { LEAST_SHARE, readProfile, shareOf, watch, type WatchedProgram } from './watched-program'

/** Only the blocked rule can trip: nothing uses a hundred cores. */
const BLOCKED_ONLY = { cpu: { threshold: 10_000, blocked: 1000, duration: 500 } }
const BLOCKED_FILE = /^blocked-cpu-\d+-\d+\.cpuprofile$/

const isRunning = ({ child }: WatchedProgram) => child.exitCode === null && child.signalCode === null

describe('a main thread that never comes back', { concurrency: 2 }, () => {
  for (const [way, guilty] of [
    ['regex', 'guiltyRegex'],
    ['loop', 'guiltyLoop'],
    ['parser', 'guiltyParser'],
  ] as const) {
    test(`${way}: leaves a whole profile that names ${guilty}, while it hangs`, async (t) => {
      const program = watch(t, BLOCKED_ONLY, way)
      const file = await program.leaves(BLOCKED_FILE)
      assert.ok(isRunning(program))
      program.child.kill('SIGKILL')
      await program.exited
      // What collecting the parser's garbage takes stands beside it, not under it.
      assert.ok(shareOf(readProfile(file), guilty) > LEAST_SHARE)
      assert.deepEqual(program.types('dump'), [], 'the file was there before the main thread could say so')
    })
  }

  test('loop, with blocked: false: leaves nothing, though asked by hand it could', async (t) => {
    const program = watch(t, { cpu: { threshold: 10_000, blocked: false, duration: 500 } }, 'onDemand')
    await program.starts()
    program.child.stdin.write('3000')
    await program.hearsType('turns', 2)
    assert.deepEqual(program.files(), [])
  })
})

describe('a main thread in one long native call', { concurrency: 2 }, () => {
  for (const [way, guilty] of [
    ['command', 'guiltyCommand'],
    ['hash', 'guiltyHash'],
  ] as const) {
    test(`${way}: is profiled as soon as the call returns, and the event says how late`, async (t) => {
      const program = watch(t, BLOCKED_ONLY, way, { argument: 4000 })
      const { dump } = await program.hearsType('dump')
      assert.equal(dump?.rule, 'blocked')
      assert.ok((dump.lateMs ?? 0) > 500, `lateMs is ${dump.lateMs}`)
      await program.hears(({ level, line }) => level === 'warn' && /one long native call/.test(line ?? ''))
      // The profile begins with the stack on which V8 took the order: the guilty call's.
      const { nodes, samples } = readProfile(dump.file)
      const ancestors = new Set<string>()
      for (
        let id = samples[0];
        id !== undefined;
        id = nodes.find(({ children }) => children?.includes(id))?.id
      ) {
        ancestors.add(nodes.find((node) => node.id === id)?.callFrame.functionName ?? '')
      }
      assert.ok(ancestors.has(guilty), [...ancestors].join(' < '))
      program.child.stdin.write('stop')
      await program.hearsType('stopped')
      assert.deepEqual(await program.exited, { code: 0, signal: null })
    })
  }
})

describe('episodes', { concurrency: 2 }, () => {
  test('one file per blocked episode, however long; the next episode has its own', async (t) => {
    const program = watch(t, BLOCKED_ONLY, 'onDemand')
    await program.starts()
    program.child.stdin.write('6000')
    await program.hearsType('turns', 2)
    assert.equal(program.files().length, 1)
    program.child.stdin.write('3500')
    await program.hearsType('turns', 3)
    await program.hearsType('dump', 2)
    assert.equal(program.files().length, 2)
  })

  test('ends early when the loop turns again', async (t) => {
    const program = watch(t, { cpu: { ...BLOCKED_ONLY.cpu, duration: 600_000 } }, 'onDemand')
    await program.starts()
    program.child.stdin.write('3500')
    const { dump } = await program.hearsType('dump')
    assert.ok(shareOf(readProfile(dump?.file ?? ''), 'hang') > LEAST_SHARE)
  })

  test('a CPU dump that ran during it counts as that file, even if it ended before the trip', async (t) => {
    const cpu = { interval: 200, threshold: 20, blocked: 2000, duration: 1500, limiter: [1, 'hour'] }
    const program = watch(t, { cpu }, 'onDemand')
    await program.starts()
    program.child.stdin.write('6000')
    await program.hearsType('turns', 2)
    program.child.stdin.write('stop')
    await program.hearsType('stopped')
    assert.deepEqual(
      program.types('dump').map(({ dump }) => dump?.rule),
      ['threshold'],
    )
    assert.deepEqual(
      program.types('skip').map(({ skip }) => skip?.rule),
      [],
      'the blocked rule asked for nothing',
    )
  })
})

describe('nothing is blocked', { concurrency: 2 }, () => {
  const endsWithoutFile = async (program: WatchedProgram) => {
    program.child.stdin.write('stop')
    await program.hearsType('stopped')
    assert.deepEqual(program.files(), [])
    assert.deepEqual(program.types('skip'), [])
  }

  test('while the loop turns, or hangs for less than blocked', async (t) => {
    const program = watch(t, BLOCKED_ONLY, 'onDemand')
    await program.hearsType('turns')
    for (const ms of [300, 600, 900]) {
      program.child.stdin.write(String(ms))
      await program.hearsType('turns', [300, 600, 900].indexOf(ms) + 2)
    }
    await endsWithoutFile(program)
  })

  test('in a process that is stopped and continued', async (t) => {
    const program = watch(t, BLOCKED_ONLY, 'onDemand')
    await program.hearsType('turns')
    program.child.kill('SIGSTOP')
    await new Promise((later) => setTimeout(later, 4000))
    program.child.kill('SIGCONT')
    program.child.stdin.write('300')
    await program.hearsType('turns', 2)
    await endsWithoutFile(program)
  })

  test('in a synchronous boot before the first turn of the loop', async (t) => {
    const program = watch(t, BLOCKED_ONLY, 'slowBoot', { argument: 4000 })
    await program.hearsType('turns')
    await endsWithoutFile(program)
  })
})
