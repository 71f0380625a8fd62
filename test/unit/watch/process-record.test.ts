import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { OWN_THREAD_NAME } from '../../../src/base/thread-figures'
import { monotonicMs } from '../../../src/base/time'
import { type MainReports, ProcessRecord, USUAL_REST } from '../../../src/watch/process-record'

const MB = 1024 * 1024

/** The record of this process, whose main thread reports a heap of a few MB: the rest is well above the usual one. */
function recordOf(given: Partial<MainReports> = {}) {
  const wanted: boolean[] = []
  const main = {
    figures: {
      atMs: monotonicMs(),
      ...{ heapUsed: MB, heapTotal: MB, heapLimit: 100 * MB, external: 0, arrayBuffers: 0 },
      threadCpuMs: NaN,
    },
    delayMs: () => 7,
    wantFigures: (areWanted: boolean) => void wanted.push(areWanted),
    takeLoop: () => undefined,
    wantLoop: () => undefined,
    ...given,
  }
  const record = new ProcessRecord({ main, known: { v8: [], pool: [] }, needsFigures: false })
  return { record, wanted }
}
const memoryOf = (record: ProcessRecord, ...answers: Parameters<ProcessRecord['picture']>[1][]) =>
  record.picture(0, ...answers).makeup.memory

describe('the rest at the start', () => {
  test('is what the process takes beside heap and external memory', () => {
    const { record } = recordOf()
    record.read()
    const { rss, restAtStart = 0 } = memoryOf(record)
    assert.ok(restAtStart > USUAL_REST, `${restAtStart} of ${rss}`)
  })

  test('is no more than usual where it has the memory of an older worker in it', () => {
    const { record } = recordOf()
    record.noteWorker({ tid: 4, id: 3, name: 'cache' })
    record.read()
    assert.equal(memoryOf(record).restAtStart, USUAL_REST)
  })

  test('stays as it was when workers come later, or are of this library', () => {
    const { record } = recordOf()
    record.noteWorker({ tid: 4, id: 3, name: OWN_THREAD_NAME })
    record.read()
    const { restAtStart } = memoryOf(record)
    record.noteWorker({ tid: 5, id: 4, name: 'cache' })
    record.read()
    assert.equal(memoryOf(record).restAtStart, restAtStart)
    assert.notEqual(restAtStart, USUAL_REST)
  })

  test('is not known before the first report of the main thread', () => {
    const { record } = recordOf({ figures: undefined })
    record.read()
    assert.equal(memoryOf(record).restAtStart, undefined)
  })
})

describe('a picture', () => {
  const memory = {
    rss: 900 * MB,
    heapUsed: 10 * MB,
    heapTotal: 20 * MB,
    external: 300 * MB,
    arrayBuffers: 290 * MB,
  }

  test('has what the threads answered, their Buffers too, and no thread of this library', () => {
    const { record } = recordOf()
    const workers = [
      { id: 3, name: 'cache', memory },
      { id: 4, name: 'silent' },
      { id: 5, name: OWN_THREAD_NAME, memory },
    ]
    const main = {
      rss: 500 * MB,
      heapUsed: 30 * MB,
      heapTotal: 40 * MB,
      external: 5 * MB,
      arrayBuffers: 4 * MB,
    }
    const { rss, heapTotal, workers: listed, unread, rest } = memoryOf(record, { workers, main })
    assert.deepEqual([rss, heapTotal, rest], [500 * MB, 40 * MB, (500 - 40 - 5 - 320) * MB])
    const { heapUsed, heapTotal: ofCache, external, arrayBuffers } = memory
    assert.deepEqual(listed, [{ id: 3, name: 'cache', heapUsed, heapTotal: ofCache, external, arrayBuffers }])
    assert.deepEqual(unread, [{ id: 4, name: 'silent' }])
  })

  test('names no worker as unread where all have answered', () => {
    const { record } = recordOf()
    const workers = [
      { id: 3, name: 'cache', memory },
      { id: 5, name: OWN_THREAD_NAME },
    ]
    assert.ok(!('unread' in memoryOf(record, { workers, main: memory })))
  })

  test('has the readings of the last minutes', () => {
    const { record } = recordOf()
    assert.equal(record.picture(0).flight, undefined)
    record.read()
    record.read()
    const { flight } = record.picture(0)
    assert.deepEqual(flight?.loopDelayMs, [7, 7])
    assert.deepEqual(flight?.heapUsedMb, [1, 1])
  })
})

test('the first reading asks the main thread for its figures', () => {
  const { record, wanted } = recordOf()
  record.read()
  assert.deepEqual(wanted, [true])
})
