import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { WatchedProgram } from './watched-program'

/** What whoever asked for a dump is told, by the phase in which `stop()` comes. */
const answersByPhase: Record<string, readonly (readonly string[])[]> = {
  start: [[]],
  boot: [[]],
  ready: [[]],
  plan: [['stopped'], ['file']],
  profile: [['file']],
  writing: [['file']],
  queue: [['stopped', 'file']],
  late: [['stopped']],
}

describe('stop()', { concurrency: 2 }, () => {
  for (const [phase, expected] of Object.entries(answersByPhase)) {
    test(`in the phase ${phase}: resolves, answers everybody, leaves no trace`, async (t) => {
      const program = new WatchedProgram(t, { fixture: 'stops.js', args: [phase] })
      assert.deepEqual(await program.exited, { code: 0, signal: null })
      const [stopped] = program.types('stopped')
      assert.equal(stopped?.isTraceless, true, JSON.stringify(stopped))
      assert.equal(stopped.isPartialLeft, false)
      const answers = program.types('answer').map(({ answer }) => answer)
      assert.ok(
        expected.some((possible) => JSON.stringify(possible) === JSON.stringify(answers)),
        JSON.stringify(answers),
      )
      assert.equal(program.stderr, '')
    })
  }
})
