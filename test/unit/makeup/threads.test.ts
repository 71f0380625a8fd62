import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Identity } from '../../../src/makeup/roster.js'
import * as threads from '../../../src/makeup/threads.js'

const { MARKS_KEPT, MOST_ENTRIES, ThreadHistory, threadUses } = threads

const thread = (tid: number, cpuMs: number, waitMs = NaN) => ({ tid, cpuMs, waitMs })
const mark = (atMs: number, ...all: ReturnType<typeof thread>[]) => ({
  atMs,
  cpuMs: all.reduce((sum, { cpuMs }) => sum + cpuMs, 0),
  gcMs: atMs / 10,
  threads: all,
})
const history = (...marks: threads.ProcessMark[]) => {
  const kept = new ThreadHistory()
  for (const each of marks) kept.add(each)
  return kept
}
const named: Record<number, Identity> = {
  1: { kind: 'main', name: 'main thread' },
  2: { kind: 'worker', id: 3, name: 'resizer' },
  3: { kind: 'pool', name: 'thread pool' },
  4: { kind: 'pool', name: 'thread pool' },
}
const identify = (tid: number): Identity => named[tid] ?? { kind: 'other', name: 'node' }

test('a span begins at the mark nearest to the moment, and ends at the latest', () => {
  const span = history(
    mark(0, thread(1, 0)),
    mark(1000, thread(1, 10)),
    mark(2000, thread(1, 1000)),
    mark(3000, thread(1, 1990)),
  ).since(1040)
  assert.deepEqual(span, {
    spanMs: 2000,
    cpuMs: 1980,
    gcMs: 200,
    threads: new Map([[1, { cpuMs: 1980, waitMs: NaN }]]),
  })
})

test('one mark is no span', () => {
  assert.equal(history(mark(0, thread(1, 0))).since(0), undefined)
  assert.equal(history().since(0), undefined)
})

test('a thread that ended in between counts up to its last mark, and one that was born counts whole', () => {
  const span = history(
    mark(0, thread(1, 0), thread(2, 100)),
    mark(1000, thread(1, 1), thread(2, 600)),
    mark(2000, thread(1, 2), thread(3, 400)),
  ).since(0)
  assert.equal(span?.threads.get(2)?.cpuMs, 500)
  assert.equal(span?.threads.get(3)?.cpuMs, 400)
})

test('a number that has passed to another thread does not count backwards', () => {
  const span = history(mark(0, thread(2, 5000)), mark(1000, thread(2, 30))).since(0)
  assert.equal(span?.threads.get(2)?.cpuMs, 30)
})

test('keeps a bounded number of marks', () => {
  const kept = history(...Array.from({ length: MARKS_KEPT + 50 }, (_, at) => mark(at, thread(1, at))))
  assert.equal(kept.since(-1e9)?.spanMs, MARKS_KEPT - 1)
})

test('marks that follow dropped ones have their own figures, also when threads come and go', () => {
  const marks = Array.from({ length: MARKS_KEPT * 2 + 7 }, (_, at) =>
    at % 7 === 0 ? mark(at, thread(1, at)) : mark(at, thread(1, at), thread(2, at * 2, at)),
  )
  const [many, few] = [history(...marks), history(...marks.slice(-MARKS_KEPT))]
  for (const sinceMs of [-1, MARKS_KEPT + 100, MARKS_KEPT * 2])
    assert.deepEqual(many.since(sinceMs), few.since(sinceMs))
})

test('shares are of the span, threads of one name are one entry, the largest comes first', () => {
  const span = history(
    mark(0, thread(1, 0, 0), thread(2, 0, 0), thread(3, 0, 0), thread(4, 0, 0)),
    mark(2000, thread(1, 20, 0), thread(2, 1940, 10), thread(3, 100, 400), thread(4, 60, 600)),
  ).since(0)
  assert.ok(span)
  assert.deepEqual(threadUses(span, identify), [
    { name: 'resizer', kind: 'worker', id: 3, cpuPercent: 97, waitPercent: 0.5 },
    { name: 'thread pool', kind: 'pool', count: 2, cpuPercent: 8, waitPercent: 30 },
    { name: 'main thread', kind: 'main', cpuPercent: 1, waitPercent: 0 },
  ])
})

test('time of the process that no thread accounts for has an entry of its own', () => {
  const span = { spanMs: 1000, cpuMs: 900, gcMs: NaN, threads: new Map([[1, { cpuMs: 100, waitMs: 0 }]]) }
  assert.deepEqual(threadUses(span, identify)[0], {
    name: 'threads that ended or could not be read',
    kind: 'other',
    cpuPercent: 80,
  })
})

test('a difference within the error of the two counters has none', () => {
  const span = { spanMs: 1000, cpuMs: 920, gcMs: NaN, threads: new Map([[1, { cpuMs: 900, waitMs: 0 }]]) }
  assert.deepEqual(
    threadUses(span, identify).map(({ kind }) => kind),
    ['main'],
  )
})

const crowd = (kindOf: (tid: number) => Identity, timeOf: (tid: number) => number, count = 300) => {
  const times = Array.from({ length: count }, (_, at) => [at, { cpuMs: timeOf(at), waitMs: 0 }] as const)
  const cpuMs = times.reduce((sum, [, time]) => sum + time.cpuMs, 0)
  return threadUses({ spanMs: 1000, cpuMs, gcMs: NaN, threads: new Map(times) }, kindOf)
}
const inCrowd = (tid: number): Identity => {
  if (tid === 0) return { kind: 'main', name: 'main thread' }
  if (tid === 1) return { kind: 'monitor', name: 'cpu-memory-monitor' }
  return tid < 250 ? { kind: 'worker', id: tid, name: `w${tid}` } : { kind: 'other', name: `addon-${tid}` }
}

test('hundreds of workers are a bounded list whose sum is that of the process', () => {
  const list = crowd(inCrowd, () => 10)
  assert.ok(list.length <= MOST_ENTRIES)
  assert.equal(Math.round(list.reduce((sum, { cpuPercent }) => sum + cpuPercent, 0)), 300)
})

test('of a crowd the main thread and the monitor keep their entries, and so do the busiest', () => {
  const list = crowd(inCrowd, (tid) => (tid === 249 ? 900 : tid < 2 ? 1 : 10))
  assert.deepEqual(list.find(({ name }) => name === 'w249')?.cpuPercent, 90)
  for (const kind of ['main', 'monitor']) assert.equal(list.find((use) => use.kind === kind)?.cpuPercent, 0.1)
})

test('of a crowd the others are together, by their kind, and have no name', () => {
  const list = crowd(inCrowd, () => 10)
  const together = list.filter(({ name }) => name === '')
  assert.deepEqual(
    together.map(({ kind, id, count = 0 }) => [kind, id, count > 40]),
    [
      ['worker', undefined, true],
      ['other', undefined, true],
    ],
  )
  assert.deepEqual(
    list.map(({ cpuPercent }) => cpuPercent),
    list.map(({ cpuPercent }) => cpuPercent).sort((one, other) => other - one),
  )
})

test('a list that is just full names all of its threads, and one more that is alone of its kind keeps its name', () => {
  const list = crowd(inCrowd, () => 10, MOST_ENTRIES)
  assert.ok(list.every(({ name }) => name !== ''))
  const kindOf = (tid: number): Identity => (tid === 24 ? { kind: 'other', name: 'alone' } : inCrowd(tid))
  const longer = crowd(kindOf, (tid) => 100 - tid, MOST_ENTRIES + 1)
  assert.ok(longer.some(({ name }) => name === 'alone'))
  assert.equal(longer.find(({ name }) => name === '')?.count, 4)
})

test('no thread waits for more than all of the time', () => {
  const threads = new Map([[1, { cpuMs: 0, waitMs: 1030 }]])
  const [use] = threadUses({ spanMs: 1000, cpuMs: 0, gcMs: NaN, threads }, identify)
  assert.equal(use?.waitPercent, 100)
})
