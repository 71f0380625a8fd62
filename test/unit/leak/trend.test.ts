import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import type { Climb } from '../../../src/leak/trend'
import { LEAK_RULE, LEAK_RULE_ALONE, LeakTrend } from '../../../src/leak/trend'

const MB = 1024 * 1024
const MINUTE_MS = 60_000
const HOUR_MS = 60 * MINUTE_MS
const DAY_MS = 24 * HOUR_MS

/** Readings one by one; returns the climbs with the time at which each was returned. Each leak is reported, or none. */
function climbsOf(readings: Iterable<{ atMs: number; usedMb: number }>, rule = LEAK_RULE, isReported = true) {
  const trend = new LeakTrend(0, rule)
  const climbs: (Climb & { toldMs: number })[] = []
  for (const { atMs, usedMb } of readings) {
    const climb = trend.read({ atMs, usedBytes: usedMb * MB })
    if (climb !== undefined) climbs.push({ ...climb, toldMs: atMs })
    if (climb?.isLeak && isReported) trend.noteReport()
  }
  return climbs
}

function* every(everyMs: number, lengthMs: number, usedMb: (atMs: number, index: number) => number) {
  for (let index = 0; index * everyMs <= lengthMs; index++) {
    yield { atMs: index * everyMs, usedMb: usedMb(index * everyMs, index) }
  }
}

/** A heap that collects each time that it has grown by a share, as one does in which nothing but the leak is allocated. */
function* eachTimeItGrows(share: number, lengthMs: number, usedMb: (atMs: number) => number) {
  let limitMb = 0
  for (let atMs = 0; atMs <= lengthMs; atMs += 10_000) {
    if (usedMb(atMs) < limitMb) continue
    yield { atMs, usedMb: usedMb(atMs) }
    limitMb = usedMb(atMs) * (1 + share)
  }
}

/** One reading per `everyMs`; the leaks only. */
function run(
  lengthMs: number,
  usedMb: (atMs: number, index: number) => number,
  everyMs = MINUTE_MS,
  rule = LEAK_RULE,
) {
  return climbsOf(every(everyMs, lengthMs, usedMb), rule).filter(({ isLeak }) => isLeak)
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
    climbs: [
      { rises: 5, factor: 1 },
      { rises: 4, factor: 1.6 },
      { rises: 3, factor: 2.5 },
    ],
    riseShare: 0.35,
    slowing: 0.9,
    slowingSinceStart: 0.65,
    growthBytes: 10_485_760,
    growthShare: 0.25,
    mostGrowthBytes: 536_870_912,
    firstDayMs: 86_400_000,
    doublingMs: 6_300_000,
    firstDayFactors: [0.7, 2],
    shortestMs: 1_500_000,
    longestMs: 475_200_000,
    nextFactor: 2,
    suspicionShare: 0.5,
  })
  assert.deepEqual(LEAK_RULE_ALONE, { ...LEAK_RULE, doublingMs: 21_600_000, firstDayFactors: [0.7, 3] })
  assert.ok(Object.isFrozen(LEAK_RULE))
})

describe('a leak is found', () => {
  test('with its time, its growth and its reason', () => {
    const [leak] = run(2 * HOUR_MS, (atMs) => 40 + (atMs / HOUR_MS) * 60)
    assert.ok(leak)
    assert.equal(leak.toldMs, 60 * MINUTE_MS)
    assert.equal(leak.startMs, 5 * MINUTE_MS)
    assert.equal(leak.endMs, 56 * MINUTE_MS)
    assert.equal(leak.growthBytes, 51 * MB)
    assert.equal(
      leak.reason,
      'heap after full GCs grew by 51.0 MB in 51.0 min, 60.0 MB per hour if it goes on, ' +
        'through 5 rises in a row: 45.0, 56.0, 66.0, 76.0, 86.0, 96.0 MB',
    )
  })

  test('not before warm-up and half an hour, even when it is steep', () => {
    const [leak] = run(2 * HOUR_MS, (atMs) => 40 + (atMs / MINUTE_MS) * 20)
    assert.ok(leak)
    assert.ok(leak.toldMs >= LEAK_RULE.warmUpMs + LEAK_RULE.shortestMs, `${leak.toldMs}`)
  })

  for (const percent of [11, 20, 30, 37]) {
    test(`before the heap is fourfold, when it collects each time that it has grown by ${percent} %`, () => {
      for (const perHourMb of [2, 10, 50]) {
        const readings = [
          ...eachTimeItGrows(percent / 100, 200 * HOUR_MS, (atMs) => 50 + (atMs / HOUR_MS) * perHourMb),
        ]
        const leak = climbsOf(readings).find(({ isLeak }) => isLeak)
        assert.ok(leak, `${perHourMb} MB per hour`)
        const after = readings.find(({ atMs }) => atMs >= LEAK_RULE.warmUpMs)
        const at = readings.find(({ atMs }) => atMs === leak.toldMs)
        assert.ok(at && after && at.usedMb < 4 * after.usedMb, `${at?.usedMb} MB`)
      }
    })
  }

  test('in a big heap before it has grown by a quarter: 512 MB are enough', () => {
    const [leak] = run(10 * DAY_MS, (atMs) => 4000 + (atMs / HOUR_MS) * 10)
    assert.ok(leak)
    assert.ok(leak.growthBytes < 700 * MB)
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
    const wave = (atMs: number) => 10 * (1 - Math.cos((2 * Math.PI * atMs) / DAY_MS))
    const leaks = run(60 * DAY_MS, (atMs) => 100 + wave(atMs) + (atMs / DAY_MS) * 12, 5 * MINUTE_MS)
    assert.ok(leaks.some((leak) => leak.toldMs > 2 * DAY_MS))
  })

  test('again after less growth when the first one was not reported', () => {
    const [reported, silent] = [true, false].map((isReported) => {
      const readings = every(MINUTE_MS, 10 * HOUR_MS, (atMs) => 40 + (atMs / HOUR_MS) * 20)
      return climbsOf(readings, LEAK_RULE, isReported).filter(({ isLeak }) => isLeak)
    })
    assert.ok(reported?.[1] && silent?.[1])
    assert.deepEqual(silent[0], reported[0])
    assert.ok(silent[1].growthBytes < reported[1].growthBytes, `${silent[1].growthBytes}`)
  })

  test('although one job, more than the longest climb ago, held ten times as much', () => {
    const [job, soon] = [DAY_MS, 2 * DAY_MS]
    const leaks = run(12 * DAY_MS, (atMs) => {
      if (atMs >= job && atMs < job + 40 * MINUTE_MS) return 1000
      return 100 + Math.max(0, ((atMs - soon) / HOUR_MS) * 2)
    })
    assert.ok(leaks[0])
    assert.ok(leaks[0].toldMs > job + LEAK_RULE.longestMs)
    assert.ok(leaks[0].growthBytes < 200 * MB)
  })

  test('again only after twice the growth', () => {
    const leaks = run(10 * HOUR_MS, (atMs) => 40 + (atMs / HOUR_MS) * 60)
    assert.ok(leaks.length >= 2)
    assert.ok(leaks.length <= 4, `${leaks.length} leaks`)
    for (const [index, leak] of leaks.entries()) {
      const previous = leaks[index - 1]
      if (previous === undefined) continue
      assert.ok(leak.startMs > previous.endMs)
      assert.ok(
        leak.growthBytes >= 1.9 * previous.growthBytes * (LEAK_RULE.growthShare / 1),
        `${leak.growthBytes}`,
      )
    }
  })
})

describe('a leak is suspected', () => {
  test('before it is found, with less growth', () => {
    const climbs = climbsOf(every(MINUTE_MS, 10 * HOUR_MS, (atMs) => 100 + (atMs / HOUR_MS) * 20))
    const leakAt = climbs.findIndex(({ isLeak }) => isLeak)
    const [suspicion] = climbs
    const leak = climbs[leakAt]
    assert.ok(leak && suspicion && leakAt > 0)
    assert.equal(suspicion.isLeak, false)
    assert.ok(suspicion.growthBytes < leak.growthBytes)
  })

  test('not in a heap that stays where it is', () => {
    assert.deepEqual(climbsOf(every(MINUTE_MS, 7 * DAY_MS, (_atMs, index) => 100 + noise(index) * 10)), [])
  })
})

describe('no leak is found', () => {
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
    'for a cache that grows by the logarithm',
    7 * DAY_MS,
    (atMs) => 100 + 40 * Math.log1p(atMs / HOUR_MS),
  )
  silent(
    'for a dictionary that grows by the root',
    7 * DAY_MS,
    (atMs) => 100 + 20 * Math.sqrt(atMs / HOUR_MS),
  )
  silent(
    'for a cache that saturates within hours',
    7 * DAY_MS,
    (atMs) => 200 - 100 * Math.exp(-atMs / (3 * HOUR_MS)),
  )
  silent(
    'for a wave that begins at night and goes up by a fifth',
    DAY_MS,
    (atMs) => 100 + 10 * (1 - Math.cos((2 * Math.PI * atMs) / DAY_MS)),
  )
  silent('for the first tooth of a sawtooth of hours', 2 * DAY_MS, (atMs) => 100 + ((atMs / HOUR_MS) % 6) * 5)
  silent('for ten percent more users a week', 28 * DAY_MS, (atMs) => 100 * (1 + (0.1 * atMs) / (7 * DAY_MS)))
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
    const climb = (fromMs: number) => 25 * Math.min(1, Math.max(0, (atMs - fromMs) / (20 * MINUTE_MS)))
    return 50 + climb(HOUR_MS) + climb(2.5 * HOUR_MS)
  })

  test('for a job every five days that climbs for six hours, after the first one has shown its height', () => {
    const leaks = run(40 * DAY_MS, (atMs) => {
      const intoMs = atMs % (5 * DAY_MS)
      return (
        100 + (intoMs > 2 * DAY_MS && intoMs < 2.25 * DAY_MS ? ((intoMs - 2 * DAY_MS) / HOUR_MS) * 50 : 0)
      )
    })
    assert.ok(leaks.length >= 1, 'not even the first one: this shows nothing')
    assert.deepEqual(
      leaks.filter((leak) => leak.toldMs > 5 * DAY_MS),
      [],
    )
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
      // Above 2 GB the 512 MB are less than a quarter.
      levelMb: fc.integer({ min: 4, max: 2000 }),
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
      perReadingMb: fc.double({ min: 1, max: 5, noNaN: true }),
      noiseMb: fc.double({ min: 0, max: 50, noNaN: true }),
      noises: fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 1, maxLength: 200 }),
    })
    const rule = { ...LEAK_RULE, longestMs: Infinity }
    fc.assert(
      fc.property(series, ({ baseMb, perReadingMb, noiseMb, noises }) => {
        // The slopes of two halves are alike once a round grows by six times the noise, on the second scale from there.
        const perRound = Math.max(10, (6 * noiseMb) / perReadingMb)
        const readings = Math.ceil(40 * perRound) + 3000
        const leaks = run(
          readings * MINUTE_MS,
          (_atMs, index) => baseMb + index * perReadingMb + noiseMb * (noises[index % noises.length] ?? 0),
          MINUTE_MS,
          rule,
        )
        assert.ok(leaks.length >= 1)
      }),
      { numRuns: 40 },
    )
  })

  test('each leak is real growth over at least 25 minutes', () => {
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
          assert.ok(leak.endMs - leak.startMs >= LEAK_RULE.shortestMs)
          assert.ok(leak.startMs >= LEAK_RULE.warmUpMs)
          assert.ok(leak.endMs <= leak.toldMs)
        }
      }),
      { numRuns: 100 },
    )
  })
})
