import assert from 'node:assert/strict'
import { join } from 'node:path'
import { describe, test, type TestContext } from 'node:test'
import { programEnvironment } from '../../harness/program'
import { makeApplication } from '../../packages/application'
import { missing, packagesDirectory } from '../engines/program'
import { scratch } from '../monitor/app'
import { readProfile, WatchedProgram } from './watched-program'

/** All that an application which says nothing has on stderr. */
const INSPECTOR_AT_MOST = /^(Debugger listening.*\nFor help.*\n)?$/
/** What is promised. */
const MAX_HELD_MS = 500

interface Exits {
  readonly phase: string
  readonly afterMs: number
  readonly options: object
  readonly flags?: readonly string[]
}

async function exits(t: TestContext, { phase, afterMs, options, flags = [] }: Exits) {
  const args = [phase, String(afterMs), JSON.stringify(options)]
  const main = makeApplication(scratch(t), packagesDirectory)
  const exiting = join(__dirname, 'programs/exits.js')
  const command = [process.execPath, ...flags, main, exiting, ...args] as const
  const program = new WatchedProgram(t, { command, env: programEnvironment() })
  const exit = await program.exited
  const heldMs = (program.types('exit')[0]?.heldMs as number | undefined) ?? 0
  assert.ok(heldMs < MAX_HELD_MS, `exit was held for ${heldMs} ms`)
  assert.match(program.stderr, phase === 'throws' ? /the application failed/ : INSPECTOR_AT_MOST)
  assert.doesNotMatch(program.stderr, /Waiting for the debugger|cpu-memory-monitor:/)
  return { program, exit }
}

function leavesWholeProfile(program: WatchedProgram, way: string): void {
  const [dump, ...more] = program.types('dump')
  assert.deepEqual(more, [])
  assert.equal(dump?.way, way)
  assert.ok(readProfile(String(dump?.file)).samples.length > 0)
  assert.deepEqual(program.files(/\.partial/), [])
}

/**
 * Each round meets the monitor in another moment; `npm run accept` does 200 on each Node. `startedMs`: from when the file for a
 * profile is there until the profiler surely runs; the thread with the inspector starts it even in an exit.
 */
const places = [
  {
    place: 'its own thread',
    options: { engine: 'builtin' },
    startedMs: 0,
    way: 'inspector',
    rounds: 8,
    skip: false,
  },
  {
    place: 'the main thread',
    options: { engine: 'builtin', watchdog: false },
    startedMs: 20,
    way: 'inspector',
    rounds: 8,
    skip: false,
  },
]
const packages = places.map(({ place, options }) => ({
  place: `${place}, with v8-profiler-next`,
  options: { ...options, engine: 'auto' },
  startedMs: 150,
  way: 'v8-profiler-next',
  rounds: 2,
  skip: missing('v8-profiler-next'),
}))

for (const { place, options, startedMs, way, rounds, skip } of [...places, ...packages]) {
  describe(`exit, watched on ${place}`, { concurrency: 2, skip }, () => {
    test('during a profile: the file is whole, and told of', async (t) => {
      for (let round = 0; round < rounds; round++) {
        const afterMs = startedMs + round * 10
        const { program, exit } = await exits(t, { phase: 'profile', afterMs, options })
        assert.deepEqual(exit, { code: 3, signal: null })
        leavesWholeProfile(program, way)
      }
    })

    test('during a profile, with the inspector open: the same', async (t) => {
      const flags = ['--inspect=0']
      const { program, exit } = await exits(t, { phase: 'profile', afterMs: 50, options, flags })
      assert.deepEqual(exit, { code: 3, signal: null })
      leavesWholeProfile(program, way)
    })

    test('by an empty event loop, during a profile: the same', async (t) => {
      const { program, exit } = await exits(t, { phase: 'empties', afterMs: 0, options })
      assert.deepEqual(exit, { code: 3, signal: null })
      leavesWholeProfile(program, way)
    })

    test('by an uncaught error, during a profile: the same, with the exit code of Node', async (t) => {
      const { program, exit } = await exits(t, { phase: 'throws', afterMs: 50, options })
      assert.deepEqual(exit, { code: 1, signal: null })
      leavesWholeProfile(program, way)
    })

    test('after stop() that is not awaited: the same', async (t) => {
      for (let round = 0; round < rounds; round++) {
        const { program, exit } = await exits(t, { phase: 'stop', afterMs: round, options })
        assert.deepEqual(exit, { code: 3, signal: null })
        leavesWholeProfile(program, way)
      }
    })

    test('while the monitor starts: nothing is left, nothing aborts', async (t) => {
      for (let round = 0; round < rounds; round++) {
        const { program, exit } = await exits(t, { phase: 'start', afterMs: round * 8, options })
        assert.deepEqual(exit, { code: 3, signal: null })
        assert.deepEqual(program.files(/cpuprofile|heap/), [])
      }
    })
  })
}
