import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { brokenPromises, combine, type Figures, kindsOf } from './figures'

const clean: Figures = {
  sent: 100,
  failed: 0,
  why: {},
  replaced: 2,
  leastAccepting: 3,
  msBelow: 0,
  mostLive: 4,
}
const absent = { reason: 'not installed' }

describe('figures of the cluster bench', () => {
  it('adds up rounds, and keeps the worst of what cannot be added', () => {
    const bad = { ...clean, failed: 3, why: { 'status 500': 3 }, leastAccepting: 1, msBelow: 7, mostLive: 5 }
    const worse = { ...bad, why: { 'status 500': 1, incomplete: 2 } }
    assert.deepEqual(combine(clean, bad), { ...bad, sent: 200, replaced: 4 })
    assert.deepEqual((combine(bad, worse) as Figures).why, { 'status 500': 4, incomplete: 2 })
  })

  it('has no figures when a round has none', () => {
    assert.equal(combine(clean, absent), absent)
    assert.equal(combine(absent, clean), absent)
  })

  it('says how requests failed, the most frequent first', () => {
    const why = {
      'connect reused ECONNRESET': 2,
      'connect ECONNRESET': 3,
      'connect ECONNREFUSED': 9,
      'body aborted': 1,
      'body ECONNRESET': 1,
      incomplete: 2,
      'connect reused NO_ANSWER_10S': 1,
      'status 503': 7,
    }
    assert.equal(kindsOf(why), '9 refused, 7 status 503, 5 reset, 4 cut, 1 unanswered')
    assert.equal(kindsOf({}), '')
  })

  it('finds a promise broken by a failed request, by time below capacity and by nothing measured', () => {
    assert.deepEqual(brokenPromises({ ...clean, failed: 1, why: { incomplete: 1 } }), [
      '1 requests failed (1 cut)',
    ])
    assert.deepEqual(brokenPromises({ ...clean, msBelow: 0.2 }), ['1 ms below capacity'])
    assert.deepEqual(brokenPromises(absent), ['it was not measured: not installed'])
  })

  it('finds none broken when none is', () => {
    assert.deepEqual(brokenPromises(clean), [])
  })
})
