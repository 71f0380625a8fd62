import assert from 'node:assert/strict'
import { EventEmitter } from 'node:events'
import { test } from 'node:test'
import { memwatchReadings } from '../../../src/leak/memwatch.js'
import type { GcReading } from '../../../src/leak/trend.js'

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
