import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { withExactTimes } from './exact-times'

describe('the times of a CPU profile for DevTools', () => {
  const profile = {
    nodes: [{ id: 1 }],
    samples: [1, 1, 1, 1],
    startTime: 72_950_113_007,
    endTime: 72_950_116_600,
    timeDeltas: [1003, 1049, -20, 1101],
  }
  const exact = JSON.parse(withExactTimes(JSON.stringify(profile))) as typeof profile

  it('are whole eighths of a millisecond', () => {
    for (const us of [exact.startTime, exact.endTime, ...exact.timeDeltas]) assert.equal(us % 125, 0)
  })

  it('are each within half an eighth of a millisecond of what they were', () => {
    const moments = ({ timeDeltas }: typeof profile): number[] => {
      let at = 0
      return timeDeltas.map((delta) => (at += delta))
    }
    const were = moments(profile)
    moments(exact).forEach((at, index) => assert.ok(Math.abs(at - (were[index] ?? NaN)) <= 62.5))
    assert.ok(Math.abs(exact.endTime - exact.startTime - 3593) <= 62.5)
  })

  it('are all that changes', () => {
    assert.deepEqual(
      { ...exact, startTime: 0, endTime: 0, timeDeltas: [] },
      { ...profile, startTime: 0, endTime: 0, timeDeltas: [] },
    )
  })

  it('stay as they are in a file that is cut, and in one without times', () => {
    for (const text of [JSON.stringify(profile).slice(0, -9), '', '{"nodes":[]}'])
      assert.equal(withExactTimes(text), text)
  })
})
