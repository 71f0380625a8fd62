import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import {
  BUSY_SHARE,
  BUSY_WINDOW_MS,
  BusyWatch,
  guiltiestFirst,
  LEAST_BUSY_MS,
  MOST_WORKER_PROFILES,
  mostProfiles,
} from '../../../../src/capture/threads/busy'

describe('BusyWatch', () => {
  it('sees a worker that uses its share of the window', () => {
    const watch = new BusyWatch(0, 1000)
    assert.equal(watch.isBusy(800, 1000 + 800 * BUSY_SHARE - 1), false)
    assert.equal(watch.isBusy(900, 1000 + 900 * BUSY_SHARE), true)
  })

  it('sees one that gets a tenth of a CPU within a short dump, as other processes take the CPUs', () => {
    const watch = new BusyWatch(0, 0)
    assert.equal(watch.isBusy(200, 20), true)
  })

  it('does not see one that has just begun to answer', () => {
    const watch = new BusyWatch(0, 0)
    assert.equal(watch.isBusy(20, LEAST_BUSY_MS - 1), false)
  })

  it('does not see one that uses little, for however long', () => {
    const watch = new BusyWatch(0, 0)
    for (let ms = 0; ms < 60_000; ms += 200) assert.equal(watch.isBusy(ms, 0.6 * BUSY_SHARE * ms), false)
  })

  it('sees one that becomes busy later', () => {
    const watch = new BusyWatch(0, 0)
    watch.isBusy(BUSY_WINDOW_MS, 1)
    assert.equal(watch.isBusy(BUSY_WINDOW_MS + 100, 1 + LEAST_BUSY_MS), true)
  })
})

describe('guiltiestFirst', () => {
  it('puts the most CPU first, and what is not known before that', () => {
    const order = guiltiestFirst([{ busyMs: 2 }, { busyMs: Infinity }, { busyMs: 3 }])
    assert.deepEqual(
      order.map(({ busyMs }) => busyMs),
      [Infinity, 3, 2],
    )
  })
})

describe('mostProfiles', () => {
  it('is what the disk has room for, up to a bound', () => {
    assert.equal(mostProfiles(10, 35), 3)
    assert.equal(mostProfiles(10, -1), 0)
    assert.equal(mostProfiles(10, 1e9), MOST_WORKER_PROFILES)
  })
})
