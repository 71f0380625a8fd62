import assert from 'node:assert/strict'
import { EventEmitter } from 'node:events'
import { test } from 'node:test'
import type { GcReading } from '../../dist/core/leak-trend.js'
import { findMemwatch, MEMWATCH_NAMES, memwatchReadings } from '../../dist/leak/memwatch-readings.js'

test('the package is looked for under these names', () => {
  assert.deepEqual(MEMWATCH_NAMES, ['memwatch-next', '@airbnb/node-memwatch'])
})

test('the first name that loads is taken, and no further one is loaded', () => {
  const loaded: string[] = []
  const memwatch = new EventEmitter()
  const found = findMemwatch((name) => {
    loaded.push(name)
    return memwatch
  })
  assert.deepEqual(found, { name: 'memwatch-next', memwatch })
  assert.deepEqual(loaded, ['memwatch-next'])
})

test('the second name is taken when the first is not there', () => {
  const memwatch = new EventEmitter()
  const found = findMemwatch((name) => {
    if (name === 'memwatch-next') throw new Error('absent')
    return memwatch
  })
  assert.deepEqual(found, { name: '@airbnb/node-memwatch', memwatch })
})

test('a package that is there but was not built says so in its own first line', () => {
  const found = findMemwatch(() => {
    throw new Error('Could not locate the bindings file. Tried:\n -> /a\n -> /b')
  })
  const why = 'does not load: Could not locate the bindings file. Tried:'
  assert.deepEqual(found, { missing: MEMWATCH_NAMES.map((name) => ({ name, why })) })
})

test('what is thrown may be anything', () => {
  const found = findMemwatch(() => {
    // eslint-disable-next-line @typescript-eslint/only-throw-error -- foreign code may
    throw 'broken'
  })
  assert.ok('missing' in found)
  assert.equal(found.missing[0]?.why, 'broken')
})

test('each stats event is a reading until stop, which leaves no listener', () => {
  const memwatch = new EventEmitter()
  const readings: GcReading[] = []
  const source = memwatchReadings('memwatch-next', memwatch, () => 7)
  assert.equal(source.source, 'memwatch-next')
  const stop = source.start((reading) => readings.push(reading))
  memwatch.emit('stats', { used_heap_size: 123 })
  assert.deepEqual(readings, [{ atMs: 7, usedBytes: 123 }])
  stop()
  stop()
  memwatch.emit('stats', { used_heap_size: 456 })
  assert.equal(readings.length, 1)
  assert.equal(memwatch.listenerCount('stats'), 0)
})
