import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { LoopReport } from '../../../src/system/loop-meter'
import { createMetrics } from '../../../src/watch/metrics'

const MB = 1024 * 1024

/** A main thread that reports what the test sets; its delays are gone once they were taken, as the real ones are. */
function scriptedMain() {
  let loop: LoopReport | undefined
  const main = {
    figures: undefined as
      { atMs: number; heapUsed: number; heapTotal: number; heapLimit: number; external: number } | undefined,
    delayMs: () => 0,
    wantFigures: () => undefined,
    wantLoop: () => undefined,
    takeLoop() {
      const taken = loop
      if (loop) loop = { ...loop, delayMs: 0 }
      return taken
    },
  }
  const reportLoop = (atMs: number, given: Partial<LoopReport>) => {
    loop = { atMs, delayMs: 0, idleMs: 0, activeMs: 0, ...given }
  }
  const metrics = createMetrics(main as unknown as Parameters<typeof createMetrics>[0])
  return { main, reportLoop, metrics }
}
const any = () => 0

describe('rules on the event loop', () => {
  test('two rules on its delay both read a delay, whichever reads first', () => {
    const { reportLoop, metrics } = scriptedMain()
    const [one, other] = [metrics.eventLoopDelay(any), metrics.eventLoopDelay(any)]
    reportLoop(1000, { delayMs: 300 })
    assert.deepEqual([one.sample(), other.sample()], [300, 300])
    reportLoop(2000, { delayMs: 0 })
    assert.deepEqual([other.sample(), one.sample()], [0, 0])
  })

  test('a rule that reads rarely has the largest delay since its own reading', () => {
    const { reportLoop, metrics } = scriptedMain()
    const [often, rarely] = [metrics.eventLoopDelay(any), metrics.eventLoopDelay(any)]
    const delays = [5, 700, 20]
    const read = delays.map((delayMs, at) => {
      reportLoop(1000 * (at + 1), { delayMs })
      return often.sample()
    })
    assert.deepEqual(read, delays)
    assert.equal(rarely.sample(), 700)
    assert.equal(rarely.sample(), undefined)
  })

  test('a rule on its utilization leaves the delay to the others', () => {
    const { reportLoop, metrics } = scriptedMain()
    const [delay, utilization] = [metrics.eventLoopDelay(any), metrics.eventLoopUtilization(any)]
    reportLoop(1000, { delayMs: 300, idleMs: 900, activeMs: 100 })
    assert.equal(utilization.sample(), undefined)
    assert.equal(delay.sample(), 300)
    reportLoop(2000, { idleMs: 1100, activeMs: 900 })
    assert.deepEqual([delay.sample(), utilization.sample()], [0, 80])
  })

  test('a blocked main thread, which reports nothing, makes no reading', () => {
    const { reportLoop, metrics } = scriptedMain()
    const [delay, utilization] = [metrics.eventLoopDelay(any), metrics.eventLoopUtilization(any)]
    assert.deepEqual([delay.sample(), utilization.sample()], [undefined, undefined])
    reportLoop(1000, { delayMs: 1 })
    void delay.sample()
    void utilization.sample()
    assert.deepEqual([delay.sample(), utilization.sample()], [undefined, undefined])
  })
})

describe('rules on the heap and on external memory', () => {
  test('read each report once', () => {
    const { main, metrics } = scriptedMain()
    const [heap, external] = [metrics.heap(any), metrics.external(any)]
    assert.deepEqual([heap.sample(), external.sample()], [undefined, undefined])
    main.figures = { atMs: 1, heapUsed: 30 * MB, heapTotal: 40 * MB, heapLimit: 120 * MB, external: 7 * MB }
    assert.deepEqual([heap.sample(), external.sample()], [25, 7 * MB])
    assert.deepEqual([heap.sample(), external.sample()], [undefined, undefined])
  })
})

test('a rule on the container compares with its present threshold at each reading', () => {
  const { metrics } = scriptedMain()
  let asked = 0
  const container = metrics.container(() => ++asked)
  void container.sample()
  void container.sample()
  assert.equal(asked, 2)
})
