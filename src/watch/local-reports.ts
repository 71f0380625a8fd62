import type { HeapFigures } from '../base/thread-figures'
import { readHeapFigures } from '../system/figures'
import { LoopMeter, type LoopReport } from '../system/loop-meter'
import { type MainReports, RECORD_INTERVAL_MS } from './process-record'

/** Heap figures and event loop delay of the main thread, for a watch that runs on that thread. All are measured when read. */
export class LocalReports implements MainReports {
  readonly #meter = new LoopMeter()
  #readAtMs: number | undefined

  get figures(): HeapFigures | undefined {
    return readHeapFigures()
  }

  /** Delay of the event loop, ms. Called about once a second: a call comes late by the time for which the loop was blocked. */
  delayMs(nowMs: number): number {
    const readAtMs = this.#readAtMs ?? nowMs
    this.#readAtMs = nowMs
    return Math.max(0, nowMs - readAtMs - RECORD_INTERVAL_MS)
  }

  takeLoop(): LoopReport {
    return this.#meter.report()
  }

  wantFigures(): void {
    return
  }

  /** Begins to measure the delay of the event loop: the first report starts the histogram. */
  wantLoop(): void {
    this.#meter.report()
  }

  stop(): void {
    this.#meter.stop()
  }
}
