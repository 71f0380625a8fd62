import assert from 'node:assert/strict'
import test from 'node:test'
import type { RecycleReason } from '../../../../src/cluster/plan/events'
import { isOver, outgoingSlot, readySlot, startingSlot } from '../../../../src/cluster/plan/slot'

const ready = { ...readySlot(startingSlot(1, 0, { expects: new Set(), startBy: 30_000 }), 0, 10_000) }

test('a worker counts as above the limit from when it is until it has ended, whichever limit it leaves for', () => {
  assert.equal(isOver(ready), false)
  assert.equal(isOver({ ...ready, overAt: 5 }), true)
  const leaves = (reason: RecycleReason) =>
    isOver(outgoingSlot(ready, 'draining', 9, { reason, orderedAt: 6, rssBytes: 7 }))
  assert.deepEqual([leaves('over'), leaves('hard-limit'), leaves('asked')], [true, true, false])
  assert.equal(isOver(outgoingSlot(ready, 'draining', 9)), false)
})
