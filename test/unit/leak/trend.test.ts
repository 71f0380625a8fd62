import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { LEAK_RULE, LeakTrend } from '../../../src/leak/trend'
import type { Leak } from '../../../src/leak/trend'

const MB = 1024 * 1024
const MINUTE_MS = 60_000
const HOUR_MS = 60 * MINUTE_MS
const DAY_MS = 24 * HOUR_MS

/** Feeds one reading per `everyMs`; returns the leaks with the time at which each was told. */
function run(lengthMs: number, usedMb: (atMs: number, index: number) => number, everyMs = MINUTE_MS) {
  const trend = new LeakTrend(0)
  const leaks: (Leak & { toldMs: number })[] = []
  for (let index = 0; index * everyMs <= lengthMs; index++) {
    const atMs = index * everyMs
    const leak = trend.read({ atMs, usedBytes: usedMb(atMs, index) * MB })
    if (leak !== undefined) leaks.push({ ...leak, toldMs: atMs })
  }
  return leaks
}

/** Noise in 0..1 that is the same in every run. */
function noise(index: number): number {
  const x = Math.sin(index * 12.9898) * 43758.5453
  return x - Math.floor(x)
}

test('the rule has these numbers', () => {
  assert.deepEqual(LEAK_RULE, {
    warmUpMs: 300_000,
    roundMs: 300_000,
    readingsPerRound: 5,
    rises: 5,
    riseShare: 0.1,
    growthBytes: 10_485_760,
    growthShare: 0.25,
  })
  assert.ok(Object.isFrozen(LEAK_RULE))
})

describe('a leak is told', () => {
  test('with its time, its growth and its reason', () => {
    const [leak] = run(2 * HOUR_MS, (atMs) => 40 + (atMs / HOUR_MS) * 60)
    assert.ok(leak)
    assert.equal(leak.startMs, 5 * MINUTE_MS)
    assert.equal(leak.endMs, 35 * MINUTE_MS)
    assert.equal(leak.growthBytes, 30 * MB)
    assert.equal(
      leak.reason,
      'heap after full GCs grew by 30.0 MB in 30.0 min, 60.0 MB per hour if it goes on, ' +
        'through 5 rises in a row: 45.0, 51.0, 57.0, 63.0, 69.0, 75.0 MB',
    )
  })

  test('not before warm-up and six rounds, even when it is steep', () => {
    const [leak] = run(2 * HOUR_MS, (atMs) => 40 + (atMs / MINUTE_MS) * 20)
    assert.ok(leak)
    assert.ok(leak.toldMs >= LEAK_RULE.warmUpMs + 6 * LEAK_RULE.roundMs, `${leak.toldMs}`)
  })

  test('after thirty readings, when the process seldom collects', () => {
    const [leak] = run(12 * HOUR_MS, (atMs) => 40 + (atMs / HOUR_MS) * 60, 10 * MINUTE_MS)
    assert.ok(leak)
    assert.equal(leak.toldMs, 30 * 10 * MINUTE_MS)
  })

  test('when it is slower than the noise', () => {
    const leaks = run(10 * DAY_MS, (atMs, index) => 100 + (atMs / HOUR_MS) * 0.5 + noise(index) * 60)
    assert.ok(leaks.length >= 1)
  })

  test('under a sawtooth', () => {
    const leaks = run(6 * HOUR_MS, (atMs, index) => 50 + (atMs / HOUR_MS) * 20 + (index % 12) * 10)
    assert.ok(leaks.length >= 1)
  })

  test('when it grows in stairs', () => {
    const leaks = run(2 * DAY_MS, (atMs) => 50 + Math.floor(atMs / HOUR_MS) * 5)
    assert.ok(leaks.length >= 1)
  })

  test('soon, although the heap was flat for a month before', () => {
    const flatMs = 30 * DAY_MS
    const leaks = run(flatMs + 3 * HOUR_MS, (atMs) => 50 + Math.max(0, atMs - flatMs) / (2 * MINUTE_MS))
    assert.ok(leaks[0])
    assert.ok(leaks[0].toldMs >= flatMs)
  })

  test('under daily waves that each end higher', () => {
    const wave = (atMs: number) => 50 * (1 - Math.cos((2 * Math.PI * atMs) / DAY_MS))
    const leaks = run(60 * DAY_MS, (atMs) => 100 + wave(atMs) + (atMs / DAY_MS) * 8, 5 * MINUTE_MS)
    assert.ok(leaks.some((leak) => leak.toldMs > 2 * DAY_MS))
  })

  test('once for one climb, and again only after another climb as long', () => {
    const leaks = run(10 * HOUR_MS, (atMs) => 40 + (atMs / HOUR_MS) * 60)
    assert.ok(leaks.length >= 2)
    for (const [index, leak] of leaks.entries()) {
      const previous = leaks[index - 1]
      if (previous === undefined) continue
      assert.ok(leak.startMs > previous.endMs)
      assert.ok(leak.growthBytes >= LEAK_RULE.growthShare * 75 * MB)
    }
  })
})

describe('no leak is told', () => {
  function silent(name: string, lengthMs: number, usedMb: (atMs: number, index: number) => number): void {
    test(name, () => assert.deepEqual(run(lengthMs, usedMb), []))
  }

  silent('for five growing GCs at start-up', DAY_MS, (atMs) => Math.min(60, 10 + (atMs / MINUTE_MS) * 10))
  silent('for a burst of GCs that grow within one round', DAY_MS, (atMs, index) =>
    atMs > HOUR_MS && atMs < HOUR_MS + 4 * MINUTE_MS ? 50 + (index % 60) * 20 : 50,
  )
  silent('for a cache that fills in twenty minutes and plateaus', 7 * DAY_MS, (atMs) =>
    Math.min(150, 50 + Math.max(0, atMs - 10 * MINUTE_MS) / 12_000),
  )
  silent(
    'for a cache that fills ever more slowly',
    7 * DAY_MS,
    (atMs) => 150 - 100 * Math.exp(-atMs / (8 * MINUTE_MS)),
  )
  silent('for a sawtooth', 7 * DAY_MS, (_atMs, index) => 50 + (index % 20) * 10)
  silent('for bursts of garbage that survive one GC', 7 * DAY_MS, (_atMs, index) =>
    index % 7 === 0 ? 400 : 50 + noise(index),
  )
  silent(
    'for growth of many rounds that is small against the heap',
    2 * HOUR_MS,
    (atMs) => 500 + atMs / (2 * MINUTE_MS),
  )
  silent(
    'for growth of many rounds that is less than 10 MiB',
    DAY_MS,
    (atMs) => 8 + Math.min(9, atMs / (10 * MINUTE_MS)),
  )
  silent('for two steep climbs with a flat hour between', 7 * DAY_MS, (atMs) => {
    const climb = (fromMs: number) => 50 * Math.min(1, Math.max(0, (atMs - fromMs) / (20 * MINUTE_MS)))
    return 50 + climb(HOUR_MS) + climb(2.5 * HOUR_MS)
  })

  test('for daily waves, after the first one has shown its height', () => {
    const wave = (atMs: number) => 100 + 50 * (1 - Math.cos((2 * Math.PI * atMs) / DAY_MS))
    const leaks = run(60 * DAY_MS, (atMs, index) => wave(atMs) + noise(index) * 10, 5 * MINUTE_MS)
    assert.deepEqual(
      leaks.filter((leak) => leak.toldMs > DAY_MS / 2),
      [],
    )
  })
})

describe('whatever the order of the readings', () => {
  test('a heap within 11 % of some level never leaks', () => {
    const series = fc.record({
      levelMb: fc.integer({ min: 4, max: 4000 }),
      everyMs: fc.integer({ min: 1000, max: HOUR_MS }),
      shares: fc.array(fc.double({ min: 0.89, max: 1.11, noNaN: true }), { maxLength: 3000, size: 'max' }),
      sorted: fc.boolean(),
    })
    fc.assert(
      fc.property(series, ({ levelMb, everyMs, shares, sorted }) => {
        const ordered = sorted ? [...shares].sort((a, b) => a - b) : shares
        const leaks = run(
          (ordered.length - 1) * everyMs,
          (_atMs, index) => levelMb * (ordered[index] ?? 1),
          everyMs,
        )
        assert.deepEqual(leaks, [])
      }),
      { numRuns: 100 },
    )
  })

  test('steady growth always leaks in the end, however noisy', () => {
    const series = fc.record({
      baseMb: fc.integer({ min: 4, max: 200 }),
      perReadingMb: fc.double({ min: 0.05, max: 5, noNaN: true }),
      noiseMb: fc.double({ min: 0, max: 50, noNaN: true }),
      noises: fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 1, maxLength: 200 }),
    })
    fc.assert(
      fc.property(series, ({ baseMb, perReadingMb, noiseMb, noises }) => {
        // Rises are clear once a round grows by 2.5 times the noise, and enough once five rounds grow by the share.
        const enough = Math.max(10, LEAK_RULE.growthShare * (baseMb + noiseMb) + noiseMb) / LEAK_RULE.rises
        const perRound = Math.max(10, Math.max(2.5 * noiseMb, enough) / perReadingMb)
        const readings = Math.ceil(2 * 7 * perRound) + 20
        const leaks = run(
          readings * MINUTE_MS,
          (_atMs, index) => baseMb + index * perReadingMb + noiseMb * (noises[index % noises.length] ?? 0),
        )
        assert.ok(leaks.length >= 1)
      }),
      { numRuns: 300 },
    )
  })

  test('each leak it tells is real growth over at least five rounds', () => {
    const steps = fc.array(fc.integer({ min: -20, max: 25 }), {
      minLength: 100,
      maxLength: 1500,
      size: 'max',
    })
    fc.assert(
      fc.property(steps, (changes) => {
        let usedMb = 100
        const walk = changes.map((change) => (usedMb = Math.max(5, usedMb + change)))
        for (const leak of run((walk.length - 1) * MINUTE_MS, (_atMs, index) => walk[index] ?? 5)) {
          assert.ok(leak.growthBytes >= LEAK_RULE.growthBytes)
          assert.ok(leak.endMs - leak.startMs >= (LEAK_RULE.rises - 1) * LEAK_RULE.roundMs)
          assert.ok(leak.startMs >= LEAK_RULE.warmUpMs)
          assert.ok(leak.endMs <= leak.toldMs)
        }
      }),
      { numRuns: 100 },
    )
  })
})
