import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { GcReading } from '../../../src/leak/trend.js'
import { READINGS_KEPT } from '../../../src/dispatch/reading-log.js'
import { startLeakWatch } from '../../../src/leak/watch.js'
import type { LeakEvidence, LeakReport } from '../../../src/leak/watch.js'
import { ENGINES, FULL_GCS, runFixture } from './run-fixture'

interface HeapResult {
  source: string
  steps: number
  readings: number
  leaks: { report: { start: string; end: string; growth: number; reason: string } }[]
  failures: string[]
}

const MINUTE_MS = 60_000
const MB = 1024 * 1024

for (const { engine, skip } of ENGINES) {
  describe(`on the real heap, engine ${engine}`, { skip }, () => {
    const run = async (scenario: string) =>
      JSON.parse(await runFixture('heap.js', [engine, scenario], FULL_GCS)) as HeapResult

    test('a slow leak is told, with what it gained', async () => {
      const { leaks, failures } = await run('leak')
      assert.deepEqual(failures, [])
      assert.ok(leaks[0])
      const { start, end, growth, reason } = leaks[0].report
      assert.ok(growth > 10 * MB && growth < 25 * MB, `${growth}`)
      assert.ok(Date.parse(end) - Date.parse(start) >= 25 * MINUTE_MS)
      assert.match(reason, /MB per hour/)
      // 30 MB leak in this hour; a verdict for every round would be five or more.
      assert.ok(leaks.length <= 2, `${leaks.length} leaks`)
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

/** A watch on scripted readings: one a minute, 1 MB more each. */
function leakByScript(minutes: number, onLeak: (report: LeakReport, evidence: LeakEvidence) => void) {
  let nowMs = 0
  let feed: (reading: GcReading) => void = () => {}
  let stopped = false
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
    onLeak,
    onFailure: (error) => assert.fail(error as Error),
  })
  for (; nowMs < minutes * MINUTE_MS; nowMs += MINUTE_MS) {
    feed({ atMs: nowMs, usedBytes: 40 * MB + (nowMs / MINUTE_MS) * MB })
  }
  stop()
  assert.ok(stopped)
}

test('the report has dates of the wall clock, the evidence has the latest readings and the rule', () => {
  const told: { report: LeakReport; evidence: LeakEvidence }[] = []
  leakByScript(300, (report, evidence) => told.push({ report, evidence }))
  const [first] = told
  assert.ok(first)
  assert.equal(first.report.start.toISOString(), '2026-01-01T00:05:00.000Z')
  assert.equal(first.report.end.toISOString(), '2026-01-01T00:35:00.000Z')
  assert.equal(first.report.growth, 30 * MB)
  assert.equal(first.evidence.details.source, 'script')
  assert.equal(first.evidence.details.reason, first.report.reason)
  assert.deepEqual(first.evidence.readings[0], { at: '2026-01-01T00:00:00.000Z', value: 40 * MB })
  const last = told.at(-1)
  assert.ok(last)
  assert.equal(last.evidence.readings.length, READINGS_KEPT)
})

test('no leak is told within the first rounds', () => {
  leakByScript(35, () => assert.fail('told'))
})
