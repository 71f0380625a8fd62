import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import * as rosterModule from '../../../src/makeup/roster.js'

const { BIRTHS_KEPT, Roster, threadsAtStart, v8PoolSizeOf } = rosterModule
const newRoster = () => new Roster({ main: 100, monitor: 108, v8: [101, 102], pool: [110, 111] })

describe('names of Node 20, where all threads are called alike', () => {
  const kindOf = (tid: number) => newRoster().identify(tid, 'node')

  test('main thread, monitor, V8 and pool are known by their numbers', () => {
    assert.deepEqual(
      [100, 108, 101, 111].map((tid) => kindOf(tid).kind),
      ['main', 'monitor', 'v8', 'pool'],
    )
  })

  test('another thread is other, under the name that it has', () => {
    assert.deepEqual(kindOf(999), { kind: 'other', name: 'node' })
  })

  test('a worker is known by its birth, and named once its name is known', () => {
    const roster = newRoster()
    roster.addWorker({ tid: 120, id: 3 })
    assert.deepEqual(roster.identify(120, 'node'), { kind: 'worker', id: 3, name: '' })
    roster.nameWorkers([{ id: 3, name: 'resizer' }])
    assert.deepEqual(roster.identify(120, 'node'), { kind: 'worker', id: 3, name: 'resizer' })
  })

  test('a worker that gets the number of a pool thread or of an ended worker is the new one', () => {
    const roster = newRoster()
    roster.addWorker({ tid: 111, id: 5, name: 'a' })
    roster.addWorker({ tid: 111, id: 6, name: 'b' })
    assert.deepEqual(roster.identify(111, 'node'), { kind: 'worker', id: 6, name: 'b' })
  })

  test('the thread of the monitor is no worker of the application', () => {
    const roster = newRoster()
    roster.addWorker({ tid: 108, id: 1, name: 'cpu-memory-monitor' })
    assert.equal(roster.identify(108, 'node').kind, 'monitor')
  })

  test('nor are the other threads of this package, once their name is known', () => {
    const roster = newRoster()
    roster.addWorker({ tid: 120, id: 3 })
    roster.nameWorkers([{ id: 3, name: 'cpu-memory-monitor' }])
    assert.deepEqual(roster.identify(120, 'node'), { kind: 'monitor', name: 'cpu-memory-monitor' })
  })

  test('remembers a bounded number of workers, the latest', () => {
    const roster = newRoster()
    for (let id = 1; id <= BIRTHS_KEPT + 1; id++) roster.addWorker({ tid: 1000 + id, id })
    assert.equal(roster.identify(1001, 'node').kind, 'other')
    assert.equal(roster.identify(1001 + BIRTHS_KEPT, 'node').kind, 'worker')
  })
})

test('where Node names its threads, the names decide for those of unknown origin', () => {
  const roster = new Roster({ main: 100, v8: [], pool: [] })
  const names = ['V8Worker', 'node-V8Worker', 'DelayedTaskSche', 'libuv-worker', 'SignalInspector']
  const kinds = [...names, 'cpu-memory-moni'].map((name, at) => roster.identify(200 + at, name).kind)
  assert.deepEqual(kinds, ['v8', 'v8', 'v8', 'pool', 'other', 'monitor'])
})

test('the name that Node gives to a worker without one is not shown', () => {
  const roster = newRoster()
  roster.addWorker({ tid: 120, id: 3, name: 'WorkerThread' })
  assert.equal(roster.identify(120, 'WorkerThread').name, '')
})

describe('threads at the start, by the order of their numbers', () => {
  test('a CommonJS program has no pool yet', () => {
    assert.deepEqual(threadsAtStart([15, 10, 1, 2, 11, 12, 13], 1, 4, 4), {
      v8: [2, 10, 11, 12, 13],
      pool: [],
    })
  })

  test('an ES module has', () => {
    assert.deepEqual(threadsAtStart([1, 2, 3, 4, 5, 6, 7, 20, 21, 22, 23], 1, 4, 4).pool, [20, 21, 22, 23])
  })

  test('a number of others that is not that of the pool says nothing', () => {
    assert.deepEqual(threadsAtStart([1, 2, 3, 4, 5, 6, 7, 20, 21, 22], 1, 4, 4).pool, [])
  })

  test('nothing is known where V8 chooses the number of its threads', () => {
    assert.deepEqual(threadsAtStart([1, 2, 3, 4, 5, 6, 7], 1, 0, 4), { v8: [], pool: [] })
  })

  test('--v8-pool-size is read as Node reads it, the last one counts', () => {
    assert.equal(v8PoolSizeOf(['--inspect', '--v8-pool-size=2']), 2)
    assert.equal(v8PoolSizeOf(['--v8-pool-size', '3', '--v8_pool_size=6']), 6)
    assert.equal(v8PoolSizeOf(['--no-v8-pool-size-at-all', '']), 4)
  })
})
