import type { HeapFigures } from '../base/thread-figures'
import { readHeapFigures } from '../system/figures'
import { LoopMeter, type LoopReport } from '../system/loop-meter'
import { type MainReports, RECORD_INTERVAL_MS } from './process-record'

/** The main thread's reports about itself, for a watch that runs on the main thread: read on demand. */
export class LocalReports implements MainReports {
  readonly #meter = new LoopMeter()
  #readAtMs: number | undefined

  get figures(): HeapFigures | undefined {
    return readHeapFigures()
  }

  /** Delay of the event loop, ms: by how much this reading is late. The loop makes the readings, so what blocks it delays them. */
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

  /** Begins to measure the delay of the event loop. */
  wantLoop(): void {
    this.#meter.report()
  }

  stop(): void {
    this.#meter.stop()
  }
}
