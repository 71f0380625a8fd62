import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { READINGS_KEPT } from '../../../src/dispatch/dispatcher.js'
import type { Dump, Leak, SkipReason } from '../../../src/dispatch/events.js'
import type { GcReading } from '../../../src/leak/trend.js'
import type { LeakEvidence } from '../../../src/leak/watch.js'
import { startLeakWatch } from '../../../src/leak/watch.js'
import { ENGINES, FULL_GCS, runFixture } from './run-fixture'

interface HeapResult {
  source: string
  steps: number
  readings: number
  /** How often allocation sites were read. */
  looks: number
  leaks: { start: string; end: string; growth: number; reason: string; sites: Leak['sites'] }[]
  dumps: Record<string, unknown>[]
  failures: string[]
}

const MINUTE_MS = 60_000
const MB = 1024 * 1024

for (const { engine, skip } of ENGINES) {
  describe(`on the real heap, engine ${engine}`, { skip }, () => {
    const run = async (scenario: string, ...more: string[]) =>
      JSON.parse(await runFixture('heap.js', [engine, scenario, ...more], FULL_GCS)) as HeapResult

    test('a slow leak is reported, with what it gained, and has two snapshots', async () => {
      const { leaks, dumps, failures } = await run('leak')
      assert.deepEqual(failures, [])
      assert.ok(leaks[0])
      const { start, end, growth, reason, sites } = leaks[0]
      assert.ok(growth > 10 * MB && growth < 40 * MB, `${growth}`)
      assert.ok(Date.parse(end) - Date.parse(start) >= 10 * MINUTE_MS)
      assert.match(reason, /MB per hour/)
      assert.deepEqual(sites, [])
      // 60 MB leak in these two hours; a verdict for every round would be ten or more.
      assert.ok(leaks.length <= 2, `${leaks.length} leaks`)
      assert.equal(dumps[0]?.pairOf, undefined)
      assert.equal(dumps[1]?.pairOf, 'snapshot 1')
    })

    test('a leak names the function that allocates it, when allocations are sampled', async () => {
      const { leaks, failures } = await run('leakInSessions', 'sampled')
      assert.deepEqual(failures, [])
      const [first] = leaks[0]?.sites ?? []
      assert.ok(first && leaks[0])
      assert.equal(first.functionName, 'allocate')
      assert.match(first.url, /parts\.js$/)
      assert.ok(first.line > 1)
      assert.ok(
        first.growth > 0.3 * leaks[0].growth && first.growth < 1.5 * leaks[0].growth,
        `${first.growth}`,
      )
    })

    test('sessions that come and go, more each minute, are no leak when allocations are sampled', async () => {
      const { leaks, looks } = await run('morning', 'sampled')
      assert.deepEqual(leaks, [])
      assert.ok(looks >= 2, 'the trend has suspected nothing: this shows nothing')
    })

    test('they would be one without', async () => {
      assert.ok((await run('morning')).leaks.length >= 1)
    })

    for (const scenario of ['startUp', 'cacheThatPlateaus', 'sawtooth', 'bursts']) {
      test(`${scenario} is no leak, although every minute was read`, async () => {
        const { leaks, failures, readings, steps } = await run(scenario)
        assert.ok(readings >= steps, `${readings} readings in ${steps} steps`)
        assert.deepEqual(leaks, [])
        assert.deepEqual(failures, [])
      })
    }

    test('a listener that throws is a failure of ours; the host goes on', async () => {
      const { failures, steps, readings } = await run('leakWithThrowingListener')
      assert.equal(failures[0], 'listener broke')
      assert.ok(readings >= steps)
    })

    test('a watch that is left running lets the process end', async () => {
      const { during } = JSON.parse(await runFixture('lifecycle.js', [engine, 'left'], FULL_GCS)) as {
        during: number
      }
      assert.ok(during >= 1)
    })

    test('after stop, also after 100 rounds, everything is as before', async () => {
      const output = await runFixture('lifecycle.js', [engine, 'stopped'], FULL_GCS)
      const result = JSON.parse(output) as { during: number; before: unknown; after: unknown; late: number }
      assert.ok(result.during >= 1)
      assert.deepEqual(result.after, result.before)
      assert.equal(result.late, 0)
    })
  })
}

/** A watch on scripted readings: one a minute, 1 MB more each. `refused`: why the nth dump is not made. */
async function leakByScript(
  minutes: number,
  {
    pair = true,
    isEndless = false,
    refused = () => undefined,
  }: { pair?: boolean; isEndless?: boolean; refused?: (dump: number) => SkipReason | undefined } = {},
) {
  let nowMs = 0
  let feed: (reading: GcReading) => void = () => {}
  let stopped = false
  const leaks: Leak[] = []
  const dumps: LeakEvidence[] = []
  const stop = startLeakWatch({
    source: {
      source: 'script',
      start(onFullGc) {
        feed = onFullGc
        return () => (stopped = true)
      },
    },
    now: () => nowMs,
    wallClock: () => Date.UTC(2026, 0, 1) + nowMs,
    readHoldings: () => undefined,
    onLeak: (leak) => leaks.push(leak),
    dump(evidence) {
      const skipped = refused(dumps.push(evidence))
      if (isEndless) return new Promise(() => {})
      return Promise.resolve(skipped ? { skipped } : ({ file: `snapshot ${dumps.length}` } as Dump))
    },
    isPairWanted: pair,
    onFailure: (error) => assert.fail(error as Error),
  })
  for (; nowMs < minutes * MINUTE_MS; nowMs += MINUTE_MS) {
    feed({ atMs: nowMs, usedBytes: 40 * MB + (nowMs / MINUTE_MS) * MB })
    await Promise.resolve()
    await Promise.resolve()
  }
  stop()
  assert.ok(stopped)
  return { leaks, dumps }
}

test('the report has dates of the wall clock, the evidence has the latest readings and the rule', async () => {
  const { leaks, dumps } = await leakByScript(300)
  const [leak, evidence] = [leaks[0], dumps[0]]
  assert.ok(leak && evidence)
  assert.equal(leak.start.toISOString(), '2026-01-01T00:05:00.000Z')
  assert.equal(leak.end.toISOString(), '2026-01-01T00:56:00.000Z')
  assert.equal(leak.growth, 51 * MB)
  assert.equal(evidence.details.source, 'script')
  assert.equal(evidence.details.reason, leak.reason)
  assert.equal(evidence.readings.at(-1)?.at, '2026-01-01T01:00:00.000Z')
  assert.equal(evidence.readings.length, READINGS_KEPT)
})

test('after a report, the next leak must have grown by twice as much', async () => {
  // By as much again it would be the third leak, after 390 minutes.
  const { leaks } = await leakByScript(400)
  assert.deepEqual(
    leaks.map(({ growth }) => growth),
    [51 * MB, 150 * MB],
  )
})

test('no leak is reported within the first rounds', async () => {
  assert.deepEqual((await leakByScript(35)).leaks, [])
})

describe('the first snapshot of a leak, when it could not be made,', () => {
  const reasons = (dumps: readonly LeakEvidence[]) => dumps.map(({ details }) => details.reason)

  test('is tried again after half as much growth, with the evidence of the leak, and then has its second', async () => {
    const { leaks, dumps } = await leakByScript(115, {
      refused: (dump) => (dump === 1 ? 'limited' : undefined),
    })
    assert.deepEqual(
      leaks.map(({ growth }) => growth),
      [51 * MB],
    )
    assert.deepEqual(reasons(dumps), [
      leaks[0]?.reason,
      leaks[0]?.reason,
      'the heap has grown further since the first snapshot',
    ])
    assert.equal(dumps[1]?.details.confirmedBy, 'none')
    assert.equal(dumps[1].readings.at(-1)?.at, '2026-01-01T01:26:00.000Z')
    assert.equal(dumps[2]?.details.pairOf, 'snapshot 2')
  })

  test('is tried again a minute later when another dump was being made', async () => {
    const refused = (dump: number) => (dump <= 2 ? 'busy' : undefined)
    const { dumps } = await leakByScript(80, { refused })
    assert.deepEqual(
      dumps.map(({ readings }) => readings.at(-1)?.at),
      ['2026-01-01T01:00:00.000Z', '2026-01-01T01:01:00.000Z', '2026-01-01T01:02:00.000Z'],
    )
  })

  test('is tried again although no second one is wanted, and then no more', async () => {
    const refused = (dump: number) => (dump === 1 ? 'limited' : undefined)
    const { leaks, dumps } = await leakByScript(140, { pair: false, refused })
    assert.deepEqual(reasons(dumps), [leaks[0]?.reason, leaks[0]?.reason])
  })

  test('is not tried again before the heap has grown', async () => {
    const { dumps } = await leakByScript(85, { refused: () => 'memory' })
    assert.equal(dumps.length, 1)
  })
})

test('no snapshot of a leak is ordered while one is being made', async () => {
  const { dumps } = await leakByScript(140, { isEndless: true })
  assert.equal(dumps.length, 1)
})

describe('the second snapshot of a leak', () => {
  const pairs = (dumps: readonly LeakEvidence[]) => dumps.map(({ details }) => details.pairOf)

  test('is taken once, after the heap has grown by half as much again', async () => {
    const { dumps } = await leakByScript(100)
    assert.deepEqual(pairs(dumps), [undefined, 'snapshot 1'])
    assert.equal(dumps[1]?.details.growthBytes, 26 * MB)
  })

  test('is not taken when it is not wanted', async () => {
    assert.deepEqual(pairs((await leakByScript(100, { pair: false })).dumps), [undefined])
  })

  test('is tried again after as much growth when it could not be made', async () => {
    const { dumps } = await leakByScript(115, { refused: (dump) => (dump === 2 ? 'limited' : undefined) })
    assert.deepEqual(pairs(dumps), [undefined, 'snapshot 1', 'snapshot 1'])
  })
})

test('the collection that reading the sites forces is no reading', () => {
  let nowMs = 0
  let looks = 0
  let feed: (reading: GcReading) => void = () => {}
  const dumps: LeakEvidence[] = []
  startLeakWatch({
    source: { source: 'script', start: (onFullGc) => ((feed = onFullGc), () => {}) },
    now: () => nowMs,
    wallClock: () => nowMs,
    readHoldings() {
      looks++
      return { run: 1, byPath: new Map() }
    },
    onLeak: () => {},
    dump: (evidence) => Promise.resolve({ file: `snapshot ${dumps.push(evidence)}` } as Dump),
    isPairWanted: false,
    onFailure: (error) => assert.fail(error as Error),
  })
  // Two days: a leak that no site confirms is reported after one.
  for (; nowMs < 2880 * MINUTE_MS; nowMs += MINUTE_MS) {
    const seen = looks
    feed({ atMs: nowMs, usedBytes: 40 * MB + (nowMs / MINUTE_MS) * MB })
    if (looks > seen) feed({ atMs: nowMs + 200, usedBytes: MB })
  }
  const [first] = dumps
  assert.ok(first && looks >= 2)
  assert.ok(first.readings.every(({ value }) => value >= 40 * MB))
})
