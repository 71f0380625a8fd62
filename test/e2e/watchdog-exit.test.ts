import assert from 'node:assert/strict'
import { describe, test, type TestContext } from 'node:test'
import { readProfile, WatchedProgram } from '../watch/watched-program'

/** Each round meets the thread in another moment; `npm run accept` does 200 on each Node. */
const ROUNDS = 10
/** What is promised. */
const MAX_HELD_MS = 500

async function exits(t: TestContext, phase: string, afterMs: number, flags: readonly string[] = []) {
  const program = new WatchedProgram(t, { fixture: 'exits.js', args: [phase, String(afterMs)], flags })
  const exit = await program.exited
  const heldMs = (program.types('exit')[0]?.heldMs as number | undefined) ?? 0
  assert.ok(heldMs < MAX_HELD_MS, `exit was held for ${heldMs} ms`)
  assert.doesNotMatch(program.stderr, /Waiting for the debugger/)
  return { program, exit }
}

function leavesWholeProfile(program: WatchedProgram): void {
  const [file, ...more] = program.types('dump').map(({ file }) => String(file))
  assert.deepEqual(more, [])
  assert.ok(readProfile(file ?? '').samples.length > 0)
  assert.deepEqual(program.files(/\.partial/), [])
}

describe('exit', { concurrency: 2 }, () => {
  test('during a profile: the file is whole, and told of', async (t) => {
    for (let round = 0; round < ROUNDS; round++) {
      const { program, exit } = await exits(t, 'profile', round * 10)
      assert.deepEqual(exit, { code: 3, signal: null })
      leavesWholeProfile(program)
    }
  })

  test('during a profile, with the inspector open: the same', async (t) => {
    const { program, exit } = await exits(t, 'profile', 50, ['--inspect=0'])
    assert.deepEqual(exit, { code: 3, signal: null })
    leavesWholeProfile(program)
  })

  test('by an empty event loop, during a profile: the same', async (t) => {
    const { program, exit } = await exits(t, 'empties', 0)
    assert.deepEqual(exit, { code: 3, signal: null })
    leavesWholeProfile(program)
  })

  test('by an uncaught error, during a profile: the same, with the exit code of Node', async (t) => {
    const { program, exit } = await exits(t, 'throws', 50)
    assert.deepEqual(exit, { code: 1, signal: null })
    leavesWholeProfile(program)
  })

  test('after stop() that is not awaited: the same', async (t) => {
    const { program, exit } = await exits(t, 'stop', 1)
    assert.deepEqual(exit, { code: 3, signal: null })
    leavesWholeProfile(program)
  })

  test('while the thread starts: nothing is left, nothing aborts', async (t) => {
    for (let round = 0; round < ROUNDS; round++) {
      const { program, exit } = await exits(t, 'start', round * 8)
      assert.deepEqual(exit, { code: 3, signal: null })
      assert.equal(program.stderr, '')
      assert.deepEqual(program.files(/cpuprofile|heap/), [])
    }
  })
})
