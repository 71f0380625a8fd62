import { createRequire } from 'node:module'
import { Atomics } from '../base/globals'
import type { HeapFigures } from '../base/thread-figures'
import { clearTimeout, monotonicMs, setTimeout } from '../base/time'
import { readHeapFigures } from '../system/figures'
import { LoopMeter, type LoopReport } from '../system/loop-meter'
import type { MainReports } from '../watch/process-record'
import { BEAT_MS } from './beat-watch'

const BEATS = 0
const DEBUGGER = 1
const WANTED = 2
const WORDS_BYTES = 16

/** Positions of the figures in the shared memory, in this order. */
const FIGURES = [
  ...(['atMs', 'heapUsed', 'heapTotal', 'heapLimit', 'external', 'arrayBuffers'] as const),
  'threadCpuMs',
] as const
const LATE = FIGURES.length
const BEAT_AT = LATE + 1
const LOOP_AT = BEAT_AT + 1
const DELAY = LOOP_AT + 1
const IDLE = DELAY + 1
const ACTIVE = IDLE + 1

/** Bits of the word by which the watchdog requests figures with each beat. */
const WANT_FIGURES = 1
const WANT_LOOP = 2

/** Bytes of shared memory that the beats need. */
export const BEATS_BYTES = WORDS_BYTES + (ACTIVE + 1) * 8

/** Beats and figures of the main thread for the watchdog, in shared memory: neither side ever waits for the other. */
export class Beats implements MainReports {
  readonly #words: Int32Array
  readonly #figures: Float64Array

  constructor(shared: SharedArrayBuffer) {
    this.#words = new Int32Array(shared, 0, WORDS_BYTES / 4)
    this.#figures = new Float64Array(shared, WORDS_BYTES)
  }

  get count(): number {
    return Atomics.load(this.#words, BEATS)
  }

  /** Whether a debugger could attach to the main thread. `inspector.url()` is undefined on other threads. */
  get isDebuggerPossible(): boolean {
    return Atomics.load(this.#words, DEBUGGER) === 1
  }

  /** Delay of the latest beat, or of the next one if that is larger already, ms: the event loop had other work. */
  delayMs(nowMs: number): number {
    const [lateMs = 0, beatAtMs = 0] = [this.#figures[LATE], this.#figures[BEAT_AT]]
    return beatAtMs === 0 ? NaN : Math.max(lateMs, nowMs - beatAtMs - BEAT_MS)
  }

  /**
   * The latest figures that came with a beat, `undefined` before the first. If a beat comes during this call, figures
   * of two beats may be mixed.
   */
  get figures(): HeapFigures | undefined {
    const entries = FIGURES.map((name, at) => [name, this.#figures[at] ?? 0] as const)
    const figures = Object.fromEntries(entries) as unknown as HeapFigures
    return figures.atMs === 0 ? undefined : figures
  }

  /** Sets whether beats bring figures. An idle main thread is spared that work. */
  wantFigures(areWanted: boolean): void {
    if (areWanted) Atomics.or(this.#words, WANTED, WANT_FIGURES)
    else Atomics.and(this.#words, WANTED, ~WANT_FIGURES)
  }

  takeLoop(): LoopReport | undefined {
    const [atMs = 0, delayMs = 0] = [this.#figures[LOOP_AT], this.#figures[DELAY]]
    const [idleMs = 0, activeMs = 0] = [this.#figures[IDLE], this.#figures[ACTIVE]]
    this.#figures[DELAY] = 0
    return atMs === 0 ? undefined : { atMs, delayMs, idleMs, activeMs }
  }

  wantLoop(): void {
    Atomics.or(this.#words, WANTED, WANT_LOOP)
  }

  /**
   * Sends beats from the main thread's event loop, from its first turn on.
   *
   * @param onBeat - Called with each beat. Must not throw.
   * @returns A function that stops the beats.
   */
  start(onBeat: () => void = () => undefined): () => void {
    const inspector = loadInspector()
    const meter = new LoopMeter()
    let timer: NodeJS.Timeout
    let dueMs = monotonicMs()
    const beat = () => {
      const nowMs = monotonicMs()
      this.#figures[LATE] = Math.max(0, nowMs - dueMs)
      this.#figures[BEAT_AT] = nowMs
      Atomics.store(this.#words, DEBUGGER, inspector.url() === undefined ? 0 : 1)
      const wanted = Atomics.load(this.#words, WANTED)
      if (wanted & WANT_FIGURES) this.#report(readHeapFigures())
      if (wanted & WANT_LOOP) this.#reportLoop(meter.report())
      Atomics.add(this.#words, BEATS, 1)
      onBeat()
      dueMs = monotonicMs() + BEAT_MS
      timer = setTimeout(beat, BEAT_MS)
      timer.unref()
    }
    timer = setTimeout(beat, 0)
    timer.unref()
    return () => {
      clearTimeout(timer)
      meter.stop()
    }
  }

  #report(figures: HeapFigures | undefined): void {
    if (figures) for (const [at, name] of FIGURES.entries()) this.#figures[at] = figures[name]
  }

  #reportLoop({ atMs, delayMs, idleMs, activeMs }: LoopReport): void {
    // The largest delay since the watchdog's last reading, which may cover several beats.
    this.#figures[DELAY] = Math.max(delayMs, this.#figures[DELAY] ?? 0)
    this.#figures[IDLE] = idleMs
    this.#figures[ACTIVE] = activeMs
    this.#figures[LOOP_AT] = atMs
  }
}

/** Loads the inspector on use: a Node built without it has no such module, and an import would end the application. */
function loadInspector(): { url(): string | undefined } {
  return createRequire(__filename)('node:inspector') as { url(): string | undefined }
}
