import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { costOf, promises, type Row, tablesOf } from './figures'
import type { Turn, Window } from './measure'
import { NOTHING, NOTHING_AGAIN, OURS } from './variants'

function turn(cpuUsPerRequest: number, p99Ms = 2, perSecond = 800): Turn {
  const window: Window = { ok: 100, failed: 0, perSecond, p50Ms: 1, p99Ms, p999Ms: 9, cpuUsPerRequest }
  return { windows: { 30: window, 80: window }, capacity: 1000, rssMb: 90 }
}

function row(variant: string, turns: readonly Turn[]): Row {
  return { variant, watches: variant !== NOTHING && variant !== NOTHING_AGAIN, turns }
}

const PEER = '@pyroscope/nodejs'
const good = [
  row(NOTHING, [turn(100, 2), turn(200, 3)]),
  row(OURS, [turn(100.2), turn(200.4)]),
  row(PEER, [turn(104), turn(208)]),
  row(NOTHING_AGAIN, [turn(100.1), turn(200.2)]),
]
const replaced = (variant: string, turns: readonly Turn[]) =>
  good.map((each) => (each.variant === variant ? row(variant, turns) : each))
const broken = (rows: readonly Row[]) =>
  Object.entries(promises(rows))
    .filter(([, holds]) => holds === false)
    .map(([promise]) => promise.replace(/:.*/, ''))

const undecided = (rows: readonly Row[]) =>
  Object.entries(promises(rows))
    .filter(([, holds]) => holds === undefined)
    .map(([promise]) => promise)

describe('figures of the idle bench', () => {
  it('compare a round with the same round of nothing, and name the share of the capacity that is lost', () => {
    const cost = costOf(good, PEER, 80)
    assert.equal(cost?.ratio.median.toFixed(3), '1.040')
    assert.equal(cost?.throughputPercent.toFixed(2), '3.85')
  })

  it('find every promise kept', () => assert.deepEqual(broken(good), []))

  it('find requests that were not answered in time', () => {
    const slow = replaced(OURS, [turn(100, 2, 794), turn(200, 2, 795)])
    assert.match(broken(slow).join(), /^at 80 % cpu-memory-monitor keeps up/)
    const failing = turn(100)
    const windows = { ...failing.windows, 80: { ...failing.windows[80], failed: 1 } }
    assert.match(broken(replaced(OURS, [{ ...failing, windows }])).join(), /^at 80 %/)
  })

  it('decide nothing about the answers where nothing itself does not keep up', () => {
    const slow = replaced(NOTHING, [turn(100, 2, 700), turn(200, 2, 700)])
    assert.match(undecided(slow).join(), /^at 80 % cpu-memory-monitor keeps up/)
  })

  it('find more CPU per request than the promise', () => {
    assert.match(broken(replaced(OURS, [turn(101), turn(202)])).join(), /^its CPU costs/)
  })

  it('find a p99 above all of nothing', () => {
    assert.match(broken(replaced(OURS, [turn(100, 3.1), turn(200, 3.1)])).join(), /^its p99/)
  })

  it('find a peer that costs less', () => {
    assert.match(broken(replaced(PEER, [turn(99), turn(198)])).join(), /^no peer that watches/)
  })

  it('allow for what the run resolves, and name it', () => {
    const coarse = replaced(NOTHING_AGAIN, [turn(102), turn(204)])
    assert.deepEqual(broken(coarse), [])
    assert.match(Object.keys(promises(coarse)).join(), /as far as the run resolves 2(\.0)? %/)
    const costly = coarse.map((each) => (each.variant === OURS ? row(OURS, [turn(103), turn(206)]) : each))
    assert.match(broken(costly).join(), /^its CPU costs/)
  })

  it('compare with no peer where none was measured', () => {
    const alone = good.filter(({ variant }) => variant !== PEER)
    assert.match(undecided(alone).join(), /^no peer that watches/)
  })

  it('promise nothing that was not measured', () => {
    const absent = good.map((each) =>
      each.variant === OURS ? { variant: OURS, watches: true, reason: 'it ended with 1' } : each,
    )
    assert.equal(broken(absent).length, 4)
    assert.match(tablesOf(absent), /^cpu-memory-monitor +it ended with 1$/m)
  })

  it('show requests that failed', () => {
    const failing = turn(100)
    const windows = { ...failing.windows, 80: { ...failing.windows[80], failed: 3 } }
    assert.match(tablesOf(replaced(PEER, [{ ...failing, windows }])), /^@pyroscope\/nodejs \(3 failed\)/m)
  })
})
