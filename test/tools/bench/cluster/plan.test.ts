import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { planFrom, turnsOf } from './plan'
import { VARIANTS } from './variants'

describe('plan of the cluster bench', () => {
  it('measures all under both profiles for 15 s, once', () => {
    assert.deepEqual(planFrom([]), {
      profiles: ['fast', 'mix'],
      seconds: 15,
      rounds: 1,
      variants: VARIANTS,
    })
  })

  it('takes turns: each variant once before any comes again', () => {
    const turns = turnsOf(planFrom(['mix', '5', '2', 'cfork,throng']))
    const names = turns.map(({ profileName, variant }) => `${profileName} ${variant.peer}`)
    const round = ['mix cfork@2.0.0', 'mix throng@5.0.0']
    assert.deepEqual(names, [...round, ...round])
  })

  for (const [what, parameters] of Object.entries({
    profiles: ['slow'],
    seconds: ['fast', 'abc'],
    rounds: ['fast', '5', '0'],
    variants: ['fast', '5', '1', 'nobody'],
  })) {
    it(`refuses ${what} that make no sense`, () => {
      assert.throws(() => planFrom(parameters), { name: 'RangeError', message: new RegExp(`^${what}: `) })
    })
  }
})
