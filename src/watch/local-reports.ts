import type { HeapFigures } from '../base/thread-figures'
import { readHeapFigures } from '../system/figures'
import { LoopMeter, type LoopReport } from '../system/loop-meter'
import { type MainReports, RECORD_INTERVAL_MS } from './process-record'

/** Reports of the main thread for a watch that runs on it: read when they are needed. */
export class LocalReports implements MainReports {
  readonly #meter = new LoopMeter()
  #readAtMs: number | undefined

  get figures(): HeapFigures {
    return readHeapFigures()
  }

  get loop(): LoopReport {
    return this.#meter.report()
  }

  /** Each reading is late by as much as the loop that makes it. */
  delayMs(nowMs: number): number {
    const readAtMs = this.#readAtMs ?? nowMs
    this.#readAtMs = nowMs
    return Math.max(0, nowMs - readAtMs - RECORD_INTERVAL_MS)
  }

  takeLoop(): LoopReport {
    return this.loop
  }

  wantFigures(): void {
    return
  }

  /** The first report begins the measurement. */
  wantLoop(): void {
    this.#meter.report()
  }

  stop(): void {
    this.#meter.stop()
  }
}
