import assert from 'node:assert/strict'
import test from 'node:test'
import { chooseCandidate, isHung, SILENT_READINGS } from '../../../../src/cluster/plan/candidate'
import { type ReadySlot, readySlot, startingSlot } from '../../../../src/cluster/plan/slot'

const limits = { limitBytes: 100, hardLimitBytes: 0 }
const hard = { limitBytes: 100, hardLimitBytes: 150 }

function slot(key: number, given: Partial<ReadySlot>): ReadySlot {
  const starting = startingSlot(key, 0, { expects: new Set(), startBy: 30_000 })
  return { ...readySlot(starting, 0, 10_000), birthRssBytes: 40, ...given }
}

test('no worker is chosen while none asks', () => {
  assert.equal(chooseCandidate([slot(1, { rssBytes: 500 })], limits), undefined)
})

test('the largest of those over the limit comes first', () => {
  const ready = [1, 2, 3].map((key) => slot(key, { overAt: 5, rssBytes: key === 2 ? 300 : 200 }))
  assert.equal(chooseCandidate(ready, limits)?.slot.key, 2)
  assert.equal(chooseCandidate(ready, limits)?.urgent, false)
})

test('a worker born above the limit is passed over, one born below it is not', () => {
  const born = slot(1, { overAt: 5, rssBytes: 400, birthRssBytes: 100 })
  const grown = slot(2, { overAt: 5, rssBytes: 120, birthRssBytes: 99 })
  assert.equal(chooseCandidate([born], limits), undefined)
  assert.equal(chooseCandidate([born, grown], limits)?.slot.key, 2)
})

test('a worker that was asked to leave goes before those over the limit, and is urgent', () => {
  const ready = [slot(1, { overAt: 5, rssBytes: 400 }), slot(2, { askedToLeave: true, rssBytes: 50 })]
  const candidate = chooseCandidate(ready, limits)
  assert.equal(candidate?.slot.key, 2)
  assert.equal(candidate?.reason, 'asked')
  assert.equal(candidate?.urgent, true)
})

test('above the hard limit a worker needs not to have asked, and is urgent', () => {
  const candidate = chooseCandidate([slot(1, { rssBytes: 151 })], hard)
  assert.equal(candidate?.reason, 'hard-limit')
  assert.equal(candidate?.urgent, true)
  assert.equal(chooseCandidate([slot(1, { rssBytes: 150 })], hard), undefined)
})

test('above the hard limit and silent for three readings it is hung; after two, or below, it is not', () => {
  assert.equal(SILENT_READINGS, 3)
  const hung = (given: Partial<ReadySlot>) =>
    isHung(slot(1, { rssBytes: 200, silentReadings: 3, ...given }), hard)
  assert.equal(hung({}), true)
  assert.equal(hung({ silentReadings: 2 }), false)
  assert.equal(hung({ rssBytes: 150 }), false)
})

test('silence alone is no reason', () => {
  assert.equal(chooseCandidate([slot(1, { rssBytes: 50, silentReadings: 100 })], hard), undefined)
})

test('a worker born above the hard limit is passed over', () => {
  assert.equal(chooseCandidate([slot(1, { rssBytes: 400, birthRssBytes: 150 })], hard), undefined)
})
