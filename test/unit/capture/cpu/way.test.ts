import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { MAX_SAMPLES, SAMPLING_INTERVAL_US, samplingIntervalUs } from '../../../../src/capture/cpu/way'

describe('samplingIntervalUs', () => {
  it('is a millisecond for the default duration', () => {
    assert.equal(SAMPLING_INTERVAL_US, 1000)
    assert.equal(samplingIntervalUs(30_000), 1000)
  })

  it('grows with the duration, so that a long profile stays of sane size', () => {
    const tenMinutesMs = 600_000
    assert.ok((tenMinutesMs * 1000) / samplingIntervalUs(tenMinutesMs) <= MAX_SAMPLES)
  })

  it('does not grow before it has to', () => assert.equal(samplingIntervalUs(MAX_SAMPLES), 1000))
})
