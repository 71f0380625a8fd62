import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Captured, Capturer, Job } from '../../../src/capture/capture'
import { dumpOnce } from '../../../src/dispatch/dump-once'

const captured = {
  artefacts: [{ file: '/evidence/a', sizeBytes: 1 }],
  way: 'scripted',
} as unknown as Captured
const early = new AbortController().signal

function scripted(steps: string[], outcome: () => Captured): Capturer {
  const take = () => Promise.resolve().then(outcome)
  const plan = () => Promise.resolve({ take }).finally(() => steps.push('plan'))
  return { plan } as unknown as Capturer
}

test('a dump that takes turns is planned in its turn, which ends with it', async () => {
  const steps: string[] = []
  const capturer = scripted(steps, () => (steps.push('taken'), captured))
  const takeTurn = () => {
    steps.push('turn')
    return Promise.resolve(() => void steps.push('end'))
  }
  const begin = () => ({}) as Job
  const outcome = await dumpOnce<never>({ capturer, directory: '/evidence', early, takeTurn, begin })
  assert.equal(outcome.captured?.way, 'scripted')
  assert.deepEqual(steps, ['turn', 'plan', 'taken', 'end'])
})

test('the turn ends as well when the capture fails', async () => {
  const steps: string[] = []
  const capturer = scripted(steps, () => {
    throw new Error('ENOSPC')
  })
  const takeTurn = () => Promise.resolve(() => void steps.push('end'))
  const begin = () => ({}) as Job
  await assert.rejects(dumpOnce({ capturer, directory: '/evidence', early, takeTurn, begin }), /ENOSPC/)
  assert.deepEqual(steps, ['plan', 'end'])
})

test('without a turn it is busy, and never begins: no token is spent', async () => {
  const steps: string[] = []
  const capturer = scripted(steps, () => captured)
  const begin = () => assert.fail('it began')
  const takeTurn = () => Promise.resolve(undefined)
  const outcome = await dumpOnce<never>({ capturer, directory: '/evidence', early, takeTurn, begin })
  assert.deepEqual(outcome, { captured: undefined, refusal: { skip: 'busy', numbers: {} } })
  assert.deepEqual(steps, [])
})
