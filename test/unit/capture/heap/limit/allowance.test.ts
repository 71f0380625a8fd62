import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  decideAtHeapLimit,
  HEAP_LIMIT_NEED_BYTES,
  type HeapLimitFacts,
  HOLD_UNTIL_COLLECTED_MS,
  isLeftToNode,
  thresholdAboveHeapLimit,
} from '../../../../../src/capture/heap/limit/allowance'

const MIB = 1024 * 1024
const roomy: HeapLimitFacts = {
  limitBytes: 200 * MIB,
  rssBytes: 260 * MIB,
  baseBytes: 60 * MIB,
  room: { availableBytes: 4096 * MIB, limitBytes: 8192 * MIB },
  disk: { freeBytes: 8192 * MIB, isMemory: false },
  isKilledAsOne: false,
  recentDumps: 0,
  budget: { tokensPerInterval: 3, intervalMs: 3_600_000 },
}
const refusalOf = (facts: Partial<HeapLimitFacts>) => decideAtHeapLimit({ ...roomy, ...facts }).refusal

test('with room both files are written, and the child may have what is left', () => {
  assert.deepEqual(decideAtHeapLimit(roomy), { hasSnapshot: true, allowanceBytes: 4096 * MIB })
})

test('what the heap still has to grow is not there for the child', () => {
  const decision = decideAtHeapLimit({ ...roomy, rssBytes: 100 * MIB })
  assert.deepEqual(decision, { hasSnapshot: true, allowanceBytes: (4096 - 160) * MIB })
})

test('the budget is what lies in the directory', () => {
  assert.equal(refusalOf({ recentDumps: 2 }), undefined)
  assert.equal(refusalOf({ recentDumps: 3 }), 'limited: 3 of 3 allowed dumps were made within 3600 s')
  assert.match(refusalOf({ budget: { tokensPerInterval: 0, intervalMs: 1000 } }) ?? '', /^limited: 0 of 0/)
})

test('a child that would be killed alone needs little, one that would take its group along must fit', () => {
  const room = { availableBytes: HEAP_LIMIT_NEED_BYTES, limitBytes: 600 * MIB }
  assert.equal(refusalOf({ room }), undefined)
  assert.match(
    refusalOf({ room: { ...room, availableBytes: HEAP_LIMIT_NEED_BYTES - 1 } }) ?? '',
    /^memory: needs/,
  )
  assert.match(refusalOf({ room, isKilledAsOne: true }) ?? '', /^memory: needs/)
  const wide = { availableBytes: 600 * MIB, limitBytes: 1200 * MIB }
  const decision = decideAtHeapLimit({ ...roomy, room: wide, isKilledAsOne: true })
  assert.deepEqual(decision, { hasSnapshot: true, allowanceBytes: (600 - 64 - 260) * MIB })
})

test('a disk that a snapshot could fill gets the profile alone, a full one nothing', () => {
  const narrow = decideAtHeapLimit({ ...roomy, disk: { freeBytes: 300 * MIB, isMemory: false } })
  assert.equal(narrow.refusal === undefined && narrow.hasSnapshot, false)
  assert.match(
    narrow.refusal ?? narrow.noSnapshot ?? '',
    /^disk: needs up to \S+ and 256MB to spare, 300MB free$/,
  )
  assert.match(
    refusalOf({ disk: { freeBytes: 256 * MIB, isMemory: false } }) ?? '',
    /^disk: [\d.]+[KMG]?B free/,
  )
})

test('a file in memory takes memory', () => {
  const disk = { freeBytes: 8192 * MIB, isMemory: true }
  const fits = decideAtHeapLimit({ ...roomy, disk })
  assert.deepEqual(fits, { hasSnapshot: true, allowanceBytes: (4096 - 816) * MIB })
  const tight = decideAtHeapLimit({
    ...roomy,
    disk,
    room: { availableBytes: 500 * MIB, limitBytes: 8192 * MIB },
  })
  assert.equal(tight.refusal === undefined && tight.hasSnapshot, false)
  assert.match(
    tight.refusal ?? tight.noSnapshot ?? '',
    /^memory: the snapshot's file of up to \S+ is in memory too/,
  )
})

test("Node's own flag is known in every spelling, and no other flag for it", () => {
  for (const flag of ['--heapsnapshot-near-heap-limit=3', '--heapsnapshot_near_heap_limit=1']) {
    assert.equal(isLeftToNode([flag], undefined), true)
    assert.equal(isLeftToNode([], `--no-warnings ${flag}`), true)
  }
  assert.equal(isLeftToNode(['--heapsnapshot-near-heap-limit', '3'], undefined), true)
  assert.equal(
    isLeftToNode(['--heapsnapshot-signal=SIGUSR2', '--max-old-space-size=100'], '--no-warnings'),
    false,
  )
})

test('of several of its options the last one counts, the command line after NODE_OPTIONS, and 0 is none', () => {
  const option = '--heapsnapshot-near-heap-limit'
  assert.equal(isLeftToNode([`${option}=0`], undefined), false)
  assert.equal(isLeftToNode([], `${option}=0`), false)
  assert.equal(isLeftToNode([`${option}=0`], `${option}=3`), false)
  assert.equal(isLeftToNode([`${option}=3`], `${option}=0`), true)
  assert.equal(isLeftToNode([option, '0'], undefined), false)
  assert.equal(isLeftToNode([], `"${option}=2"`), true)
})

test('a threshold above what the heap can become is reported, with both numbers', () => {
  assert.equal(thresholdAboveHeapLimit('the limit', 160, 100, 60), undefined)
  assert.match(
    thresholdAboveHeapLimit('the limit', 161, 100, 60) ?? '',
    /^the limit of 161B .* about 100B, young generation included; set a smaller value/,
  )
})

test('the hold is what the design names', () => assert.equal(HOLD_UNTIL_COLLECTED_MS, 2000))
