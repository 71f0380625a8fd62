import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startLine, uselessThreshold, type Started } from '../../dist/report/start-line.js'

const idle: Started = {
  rules: {},
  budgets: {
    cpu: { tokensPerInterval: 3, intervalMs: 3_600_000 },
    memory: { tokensPerInterval: 2, intervalMs: 500 },
  },
  directories: { cpu: '/cpu', memory: '/memory' },
  signal: undefined,
  thread: 'the main thread',
  ways: {
    cpu: { available: ['inspector'], passedOver: [] },
    memory: { available: ['v8', 'sampling'], passedOver: [] },
  },
}

test('nothing configured is said as such', () => {
  assert.equal(startLine(idle), 'watching nothing; on the main thread')
})

test('each part that is watched is told with its threshold, limits, directory and ways', () => {
  assert.equal(
    startLine({ ...idle, rules: { cpu: { threshold: 66.666, counter: 3 } } }),
    'watching cpu above 66.7% of a core (3 readings in a row, at most 3 per 3600 s) to /cpu by inspector; on the main thread',
  )
  assert.equal(
    startLine({ ...idle, rules: { memory: { threshold: 1536, counter: 1 } } }),
    'watching memory above 1.5KB (at once, at most 2 per 0.5 s) to /memory by v8, sampling; on the main thread',
  )
  assert.equal(
    startLine({ ...idle, signal: 'SIGUSR2' }),
    'watching SIGUSR2 for a heap snapshot to /memory; on the main thread',
  )
})

test('each optional package in use is named with its file, or as handed over', () => {
  const packages = [
    { name: 'heapdump', file: '/app/heapdump.js' },
    { name: 'memwatch-next', file: undefined },
  ]
  assert.equal(
    startLine({ ...idle, packages }),
    'watching nothing; on the main thread; optional packages: heapdump from /app/heapdump.js, memwatch-next handed over',
  )
  assert.doesNotMatch(startLine({ ...idle, packages: [] }), /optional packages/)
})

test('ways that cannot be taken are told with the reason, each once', () => {
  const passedOver = [{ way: 'heapdump', why: 'not installed' }]
  const kind = { available: [], passedOver }
  const line = startLine({
    ...idle,
    rules: { cpu: { threshold: 1, counter: 1 } },
    ways: { cpu: kind, memory: kind },
  })
  assert.match(line, /by nothing; on the main thread; passed over: heapdump \(not installed\)$/)
})

test('ways that nobody could ask for are not told as passed over', () => {
  const kind = { available: [], passedOver: [{ way: 'heapdump', why: 'not installed' }] }
  const ways = { ...idle.ways, memory: kind }
  assert.doesNotMatch(startLine({ ...idle, ways }), /passed over/)
  assert.match(startLine({ ...idle, ways, signal: 'SIGUSR2' }), /passed over: heapdump/)
})

test('a threshold at or above the limit can never trip, one below it can, and so can any without a limit', () => {
  for (const threshold of [100, 101]) {
    const told = uselessThreshold(threshold, 100)
    assert.ok(told?.includes(`${threshold} bytes`) && told.includes('100 bytes'))
  }
  assert.equal(uselessThreshold(99, 100), undefined)
  assert.equal(uselessThreshold(1e15, undefined), undefined)
})
