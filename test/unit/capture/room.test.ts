import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import {
  DISK_FLOOR_BYTES,
  judgeDisk,
  judgeMemory,
  MEMORY_RESERVE_FLOOR_BYTES,
  MEMORY_RESERVE_SHARE,
  memoryReserveBytes,
  SNAPSHOT_NEED_FACTORS,
  snapshotFileBytes,
  snapshotNeedBytes,
} from '../../../src/capture/room'

const MIB = 1024 * 1024
const GIB = 1024 * MIB

describe('room', () => {
  it('keeps the promised reserve and floor', () => {
    assert.equal(MEMORY_RESERVE_FLOOR_BYTES, 64 * MIB)
    assert.equal(MEMORY_RESERVE_SHARE, 0.05)
    assert.equal(DISK_FLOOR_BYTES, 256 * MIB)
    assert.equal(memoryReserveBytes(GIB), 64 * MIB)
    assert.equal(memoryReserveBytes(20 * GIB), GIB)
  })

  it('grants a snapshot exactly as long as need and reserve fit', () => {
    const usedBytes = 50 * MIB
    const limitBytes = 4 * GIB
    const enoughBytes = snapshotNeedBytes(usedBytes, 24) + memoryReserveBytes(limitBytes)
    assert.equal(judgeMemory(usedBytes, 24, { limitBytes, availableBytes: enoughBytes }).fits, true)
    assert.equal(judgeMemory(usedBytes, 24, { limitBytes, availableBytes: enoughBytes - 1 }).fits, false)
  })

  it('gives the numbers of its verdict, and never less than nothing to be had', () => {
    const { fits, numbers } = judgeMemory(50 * MIB, 24, { limitBytes: 4 * GIB, availableBytes: 10 * MIB })
    assert.equal(fits, false)
    assert.deepEqual(numbers, {
      usedBytes: 50 * MIB,
      needBytes: snapshotNeedBytes(50 * MIB, 24),
      haveBytes: 0,
      reserveBytes: memoryReserveBytes(4 * GIB),
    })
  })

  it('asks more than was ever measured on each Node, and the most on one that was not', () => {
    // Extra memory as a multiple of the heap in use, small objects, by test/tools/bench/snapshot-need.mjs 100.
    const measured: Record<number, number> = { 20: 24.8, 22: 23.9, 24: 23.5, 26: 26.1 }
    for (const [major, factor] of Object.entries(measured)) {
      assert.ok(snapshotNeedBytes(100 * MIB, Number(major)) > 100 * MIB * factor, major)
    }
    const hungriest = Math.max(...Object.values(SNAPSHOT_NEED_FACTORS))
    assert.ok(snapshotNeedBytes(100 * MIB, 28) >= 100 * MIB * hungriest)
  })

  it('refuses the case that killed an application: 150 MB of heap under a limit of 1000 MB', () => {
    const room = { limitBytes: 1000 * MIB, availableBytes: 785 * MIB }
    for (const major of [20, 22, 24, 26]) assert.equal(judgeMemory(150 * MIB, major, room).fits, false)
  })

  it('grants a file exactly as long as the floor stays free', () => {
    assert.equal(judgeDisk(10 * MIB, 266 * MIB).fits, true)
    assert.equal(judgeDisk(10 * MIB, 266 * MIB - 1).fits, false)
    assert.deepEqual(judgeDisk(10 * MIB, 5).numbers, {
      estimateBytes: 10 * MIB,
      freeBytes: 5,
      floorBytes: 256 * MIB,
    })
  })

  it('takes a snapshot file for larger than the largest that was measured', () => {
    assert.ok(snapshotFileBytes(200 * MIB) > 200 * MIB * 3.9)
    assert.ok(snapshotFileBytes(0) > 0)
  })
})
