import { monotonicMs, startLoop } from '../base/time'
import type { Dispatcher } from '../dispatch/dispatcher'
import type { Gate } from '../dispatch/gate'
import { readThreadStat } from '../system/proc'
import { BEAT_MS, BeatWatch, TICK_MS } from './beat-watch'
import type { Beats } from './beats'

export interface BlockedLoopParts {
  readonly blockedMs: number
  readonly beats: Pick<Beats, 'count' | 'isDebuggerPossible'>
  readonly dispatcher: Pick<Dispatcher, 'request' | 'runningKind'>
  readonly gate: Pick<Gate, 'isHeld' | 'isMainThreadAtOrder'>
}

/**
 * Requests a CPU dump when the main thread's event loop is blocked. Runs on the watchdog thread.
 *
 * @returns A function that stops this.
 */
export function startBlockedLoop(parts: BlockedLoopParts): () => Promise<void> {
  const rule = new BlockedRule(parts)
  const stopLoop = startLoop(TICK_MS, () => Promise.resolve(rule.tick()))
  return async () => {
    await stopLoop()
    rule.stop()
  }
}

/**
 * Makes one dump per blocked episode, and ends it early when the loop runs again. A CPU dump that is already being made
 * counts as that dump; after any other dump, a loop that is still blocked gets its own at once.
 *
 * A main thread in one long native call accepts the order when the call returns, and its loop often runs again right
 * after. That short profile is still evidence: it begins with the stack of the long call, on which V8 accepted the
 * order.
 */
export class BlockedRule {
  readonly #parts: BlockedLoopParts
  readonly #watch: BeatWatch
  readonly #debuggerPause: DebuggerPause
  #episode: AbortController | undefined
  #isServed = false

  constructor(parts: BlockedLoopParts) {
    this.#parts = parts
    this.#watch = new BeatWatch(parts.blockedMs)
    this.#debuggerPause = new DebuggerPause(parts.beats)
  }

  /** To be called every {@link TICK_MS}. */
  tick(): void {
    const watch = this.#watch
    // The monitor's own order, such as a snapshot in place, blocks the main thread. A forked snapshot does not, though
    // it takes long.
    const isOurDoing = this.#parts.gate.isMainThreadAtOrder
    const isPaused = this.#debuggerPause.isLikely(watch.silentMs) || isOurDoing
    const change = watch.tick(this.#parts.beats.count, isPaused)
    if (change === 'blocks') this.#episode = new AbortController()
    if (change === 'frees') this.stop()
    if (watch.silentMs === 0) this.#isServed = false
    this.#serve()
  }

  /** Ends the dump that was requested. */
  stop(): void {
    this.#episode?.abort()
    this.#episode = undefined
  }

  #serve(): void {
    const { blockedMs, dispatcher, gate } = this.#parts
    const { silentMs } = this.#watch
    // Longer than between two beats: a CPU profile under way shows this blockage, even if the loop runs again before
    // the trip.
    if (silentMs > BEAT_MS && dispatcher.runningKind === 'cpu') this.#isServed = true
    if (!this.#episode || this.#isServed || gate.isHeld) return
    this.#isServed = true
    const details = { blockedMs, silentMs }
    const sinceMs = monotonicMs() - silentMs
    void dispatcher.request({ kind: 'cpu', rule: 'blocked', details, sinceMs, early: this.#episode.signal })
  }
}

/** Judges whether the main thread stands at a breakpoint: it sends no beat, has an open inspector, and uses no CPU. */
class DebuggerPause {
  readonly #beats: Pick<Beats, 'isDebuggerPossible'>
  #cpuTicks: number | undefined

  constructor(beats: Pick<Beats, 'isDebuggerPossible'>) {
    this.#beats = beats
  }

  isLikely(silentMs: number): boolean {
    if (!this.#beats.isDebuggerPossible || silentMs < TICK_MS) {
      this.#cpuTicks = undefined
      return false
    }
    const before = this.#cpuTicks
    // On Linux the main thread's id is the process id. Elsewhere its CPU time is unknown.
    this.#cpuTicks = readThreadStat(`/proc/self/task/${process.pid}`)?.cpuTicks
    return before !== undefined && before === this.#cpuTicks
  }
}
