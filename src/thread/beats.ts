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

/** Names of the heap and CPU figures in the shared memory, in the order of their positions. The other figures follow them. */
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

/** Bit that the watchdog thread sets in the word `WANTED`: each beat of the main thread then brings heap figures. */
const WANT_FIGURES = 1
/** Bit that the watchdog thread sets in the word `WANTED`: each beat of the main thread then brings event loop figures. */
const WANT_LOOP = 2

/** Bytes of shared memory that {@link Beats} needs. */
export const BEATS_BYTES = WORDS_BYTES + (ACTIVE + 1) * 8

/**
 * Signs of life (beats) and figures of the main thread, which the watchdog thread reads from shared memory. Neither thread
 * ever waits for the other.
 */
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

  /** Whether a debugger could connect to the main thread's inspector at the latest beat. Only the main thread itself can tell. */
  get isDebuggerPossible(): boolean {
    return Atomics.load(this.#words, DEBUGGER) === 1
  }

  /**
   * Delay of the event loop, ms: how late the latest beat was, or how overdue the next one is, whichever is more. NaN before
   * the first beat.
   */
  delayMs(nowMs: number): number {
    const [lateMs = 0, beatAtMs = 0] = [this.#figures[LATE], this.#figures[BEAT_AT]]
    return beatAtMs === 0 ? NaN : Math.max(lateMs, nowMs - beatAtMs - BEAT_MS)
  }

  /**
   * Latest heap figures that came with a beat; `undefined` before the first. If the main thread writes during this call,
   * figures of two beats may be mixed.
   */
  get figures(): HeapFigures | undefined {
    const entries = FIGURES.map((name, at) => [name, this.#figures[at] ?? 0] as const)
    const figures = Object.fromEntries(entries) as unknown as HeapFigures
    return figures.atMs === 0 ? undefined : figures
  }

  /** Sets whether the main thread measures heap figures with each beat. While the process is idle, they are seldom wanted. */
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
   * Starts the timer on the main thread that gives the beats. The first beat comes in the first iteration of the event loop.
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
    // Several beats may come before the watchdog thread reads: it gets the largest delay among them.
    this.#figures[DELAY] = Math.max(delayMs, this.#figures[DELAY] ?? 0)
    this.#figures[IDLE] = idleMs
    this.#figures[ACTIVE] = activeMs
    this.#figures[LOOP_AT] = atMs
  }
}

/** Loads Node's inspector when needed. A Node built without it has no such module: an `import` would end the application. */
function loadInspector(): { url(): string | undefined } {
  return createRequire(__filename)('node:inspector') as { url(): string | undefined }
}
