import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type Death, type Row, tablesOf } from './figures'

const death: Death = {
  afterMs: 300,
  peakMb: 250,
  allMb: 1500,
  isDeathTheSame: true,
  hasSnapshot: true,
  hasProfile: true,
  wholeAfterMs: 12_000,
}
const bare: Death = { ...death, afterMs: undefined, wholeAfterMs: undefined }
const nothing: Row = {
  limitMb: 200,
  way: 'nothing',
  deaths: [{ ...bare, hasSnapshot: false, hasProfile: false }],
  contained: [],
}
const ours: Row = {
  limitMb: 200,
  way: 'cpu-memory-monitor',
  deaths: [death, { ...death, afterMs: 500 }, { ...death, afterMs: 310 }],
  contained: [{ ...death, hasSnapshot: false }],
}
const peer: Row = {
  ...ours,
  way: 'node-oom-heapdump',
  deaths: [{ ...death, isDeathTheSame: false }],
  contained: [{ ...bare, hasSnapshot: false, hasProfile: false }],
}
const lines = (rows: readonly Row[]) => tablesOf(rows).split('\n')
const line = (rows: readonly Row[], pattern: RegExp) => lines(rows).filter((each) => pattern.test(each))

describe('figures of the heap-limit bench', () => {
  it('have the median of the rounds with its spread, and s for what takes seconds', () => {
    assert.match(
      line([nothing, ours], /^cpu-memory-monitor/)[0] ?? '',
      / 310 \(300-500\) +3\/3 +250 +1500 +3\/3 +12$/,
    )
  })

  it('have no time of a death without evidence', () => {
    assert.match(line([nothing, ours], /^nothing/)[0] ?? '', /^nothing +- +1\/1 +250 +1500 +0\/1 +-$/)
  })

  it('show a death that is not the same', () => {
    assert.match(line([ours, peer], /^node-oom/)[0] ?? '', /^node-oom-heapdump +300 +0\/1/)
  })

  it('show what was left in containers, a profile only where there was one', () => {
    const [, inContainer] = line([nothing, ours, peer], /^cpu-memory-monitor/)
    assert.match(inContainer ?? '', /profile 1\/1, snapshot 0\/1$/)
    assert.match(line([ours, peer], /^node-oom/)[1] ?? '', /^node-oom-heapdump +snapshot 0\/1$/)
  })

  it('have the reason in place of figures', () => {
    const absent = { ...peer, deaths: [], contained: [], reason: 'not installed: no compiler' }
    assert.match(tablesOf([ours, absent]), /^node-oom-heapdump +not installed: no compiler$/m)
  })
})
