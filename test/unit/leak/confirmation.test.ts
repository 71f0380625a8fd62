import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { ConfirmedLeak, Holdings } from '../../../src/leak/confirmation'
import { LeakConfirmation, SITES_NAMED, UNCONFIRMED_MS } from '../../../src/leak/confirmation'
import type { Climb } from '../../../src/leak/trend'

const MB = 1024 * 1024

/** Samples of 1 MB each with these ordinals, by function. `run`: number of the sampler's start. */
function heap(sites: Readonly<Record<string, readonly number[]>>, run = 1): Holdings {
  const holdings = Object.entries(sites).map(([functionName, ordinals], path) => {
    const samples = ordinals.map((ordinal) => [ordinal, MB] as const)
    return [path, { functionName, url: 'file:///app.js', line: 7, samples }] as const
  })
  return { run, byPath: new Map(holdings) }
}

const count = (from: number, to: number) => Array.from({ length: to - from }, (_, at) => from + at)

/** A climb from 100 MB by `growthMb`. */
function climb(isLeak: boolean, growthMb: number): Climb {
  return {
    isLeak,
    startMs: 0,
    startBytes: 100 * MB,
    endMs: 1,
    growthBytes: growthMb * MB,
    reason: 'it climbs',
  }
}

/** Steps of a heap: its size after a collection, the climb that the trend sees, and what would be sampled then. */
function follow(steps: readonly { atMs?: number; mb: number; climb?: Climb; holds?: Holdings }[]) {
  let now: Holdings | undefined
  let reads = 0
  const leaks: ConfirmedLeak[] = []
  const confirmation = new LeakConfirmation(() => {
    reads++
    return now
  })
  for (const [at, { atMs = at, mb, climb, holds }] of steps.entries()) {
    now = holds
    const leak = confirmation.take({ atMs, usedBytes: mb * MB }, climb)
    if (leak) leaks.push(leak)
  }
  return { leaks, reads }
}

const suspicion = climb(false, 10)
const leak = climb(true, 20)
const before = heap({ cache: count(0, 10), other: count(100, 110) })
const leaked = heap({ cache: [...count(0, 10), ...count(200, 220)], other: count(300, 310) })
const turnedOver = heap({ cache: count(200, 230), other: count(300, 310) })

describe('a leak is reported', () => {
  test('at once when the sites that grew have given nothing back, with those sites', () => {
    const { leaks } = follow([
      { mb: 110, climb: suspicion, holds: before },
      { mb: 120, climb: leak, holds: leaked },
    ])
    assert.equal(leaks.length, 1)
    assert.equal(leaks[0]?.confirmedBy, 'sites')
    assert.deepEqual(leaks[0]?.sites, [
      { functionName: 'cache', url: 'file:///app.js', line: 7, growth: 20 * MB },
    ])
  })

  test('at once, without sites, when allocations are not sampled', () => {
    const { leaks } = follow([
      { mb: 110, climb: suspicion },
      { mb: 120, climb: leak },
    ])
    assert.deepEqual([leaks[0]?.confirmedBy, leaks[0]?.sites], ['none', []])
  })

  test('after one more look when nothing was suspected before', () => {
    const { leaks } = follow([
      { mb: 120, climb: leak, holds: before },
      { mb: 123, holds: leaked },
      { mb: 128, holds: leaked },
    ])
    assert.equal(leaks.length, 1)
    assert.equal(leaks[0]?.growthBytes, 28 * MB)
    assert.match(leaks[0]?.reason ?? '', /; 28\.0 MB in .* by now$/)
  })

  test('after two more looks when the sampler was started again since the suspicion', () => {
    const { leaks } = follow([
      { mb: 110, climb: suspicion, holds: heap({ cache: count(1, 59) }, 1) },
      { mb: 120, climb: leak, holds: heap({}, 2) },
      { mb: 127, holds: heap({ cache: count(1, 8) }, 2) },
      { mb: 134, holds: heap({ cache: count(1, 15) }, 2) },
    ])
    assert.deepEqual(
      leaks.map(({ confirmedBy, sites }) => [confirmedBy, sites[0]?.growth]),
      [['sites', 7 * MB]],
    )
  })

  test('although the sites do not confirm it, once it has lasted a day and tripled', () => {
    const { leaks } = follow([
      { mb: 110, climb: suspicion, holds: before },
      { mb: 120, climb: leak, holds: turnedOver },
      { mb: 161, holds: heap({ cache: count(400, 440) }) },
      { atMs: UNCONFIRMED_MS, mb: 170, holds: heap({ cache: count(500, 550) }) },
    ])
    assert.equal(leaks.length, 1)
    assert.equal(leaks[0]?.confirmedBy, 'growth')
    assert.equal(leaks[0]?.growthBytes, 70 * MB)
    assert.equal(leaks[0]?.sites[0]?.functionName, 'cache')
  })

  test('although the sites do not confirm it, once the trend finds a second one', () => {
    const { leaks } = follow([
      { mb: 120, climb: leak, holds: before },
      { mb: 160, climb: climb(true, 60), holds: turnedOver },
    ])
    assert.deepEqual([leaks.length, leaks[0]?.confirmedBy], [1, 'growth'])
  })

  test('with paths that end in one function as one site, the largest first, five at most', () => {
    const sites = count(0, 8)
    const small = new Map(sites.map((at) => [at, site(at, [at])]))
    const large = new Map(
      sites.map((at) => [at, site(at, [at, ...count(100 * at + 100, 100 * at + 101 + at)])]),
    )
    const { leaks } = follow([
      { mb: 110, climb: suspicion, holds: { run: 1, byPath: small } },
      { mb: 150, climb: leak, holds: { run: 1, byPath: large } },
    ])
    assert.deepEqual(
      leaks[0]?.sites.map(({ functionName, growth }) => [functionName, growth / MB]),
      [
        ['f3', 15],
        ['f2', 11],
        ['f1', 7],
        ['f0', 3],
      ],
    )
    assert.ok(SITES_NAMED >= 4)
  })
})

/** Two paths to each function. */
function site(path: number, ordinals: readonly number[]) {
  const samples = ordinals.map((ordinal) => [ordinal, MB] as const)
  return { functionName: `f${Math.floor(path / 2)}`, url: '', line: 0, samples }
}

describe('a leak is not reported', () => {
  test('while what grew is replaced as it goes', () => {
    const { leaks } = follow([
      { mb: 110, climb: suspicion, holds: before },
      { mb: 120, climb: leak, holds: turnedOver },
      { mb: 121, holds: turnedOver },
      { mb: 119, holds: turnedOver },
    ])
    assert.deepEqual(leaks, [])
  })

  test('without the sites, before it has lasted a day, or before it has tripled', () => {
    const start = [
      { mb: 110, climb: suspicion, holds: before },
      { mb: 120, climb: leak, holds: turnedOver },
    ]
    const later = heap({ cache: count(500, 550) })
    assert.deepEqual(follow([...start, { atMs: UNCONFIRMED_MS - 1, mb: 200, holds: later }]).leaks, [])
    assert.deepEqual(follow([...start, { atMs: 2 * UNCONFIRMED_MS, mb: 159, holds: later }]).leaks, [])
  })

  test('after the heap has given half of the climb back', () => {
    const { leaks } = follow([
      { mb: 110, climb: suspicion, holds: before },
      { mb: 120, climb: leak, holds: turnedOver },
      { mb: 105 },
      { mb: 150, holds: leaked },
    ])
    assert.deepEqual(leaks, [])
  })

  test('by objects from before a restart of the sampler, with which its numbers begin anew', () => {
    const { leaks } = follow([
      { mb: 110, climb: suspicion, holds: heap({ cache: count(1, 59) }, 1) },
      { mb: 120, climb: leak, holds: heap({ cache: count(1, 159) }, 2) },
      { mb: 130, holds: heap({ cache: count(1, 259) }, 3) },
    ])
    assert.deepEqual(leaks, [])
  })

  test('on a suspicion', () => {
    assert.deepEqual(follow([{ mb: 110, climb: suspicion, holds: before }]).leaks, [])
  })
})

describe('sites are read', () => {
  test('never without a suspicion', () => {
    assert.equal(follow(count(0, 500).map((mb) => ({ mb, holds: before }))).reads, 0)
  })

  test('once for one suspicion, however often it is repeated', () => {
    assert.equal(follow(count(110, 119).map((mb) => ({ mb, climb: suspicion, holds: before }))).reads, 1)
  })

  test('anew when the heap had gone back in between', () => {
    const again = { mb: 110, climb: suspicion, holds: before }
    assert.equal(follow([again, { mb: 99 }, again]).reads, 2)
  })

  test('while a leak waits, once per third of the climb', () => {
    const waiting = count(121, 135).map((mb) => ({ mb, holds: turnedOver }))
    assert.equal(follow([{ mb: 120, climb: leak, holds: turnedOver }, ...waiting]).reads, 3)
  })
})
