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
 * Requests a CPU dump when the main thread's event loop hangs. Runs on the watchdog thread.
 *
 * @returns Stops it.
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
 * One dump per blocked episode, ended early when the loop frees itself. A CPU dump that is being made anyway counts as that
 * one; any other is waited for, and a loop that is still blocked then has its dump at once.
 *
 * A main thread in one long native call takes the order when the call returns, and then frees itself almost at once. That
 * short profile is the evidence all the same: it begins with the stack on which V8 took the order, the guilty call's.
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

  /** Once per {@link TICK_MS}. */
  tick(): void {
    const watch = this.#watch
    // A snapshot in place stops the main thread by itself. A forked one does not, though it takes long.
    const isOurDoing = this.#parts.gate.isMainThreadAtOrder
    const isPaused = this.#debuggerPause.isLikely(watch.silentMs) || isOurDoing
    const change = watch.tick(this.#parts.beats.count, isPaused)
    if (change === 'blocks') this.#episode = new AbortController()
    if (change === 'frees') this.stop()
    if (watch.silentMs === 0) this.#isServed = false
    this.#serve()
  }

  /** Ends the dump that it asked for. */
  stop(): void {
    this.#episode?.abort()
    this.#episode = undefined
  }

  #serve(): void {
    const { blockedMs, dispatcher, gate } = this.#parts
    const { silentMs } = this.#watch
    // More silence than between two beats: what that profile shows is this blockage, even if it ends before the trip.
    if (silentMs > BEAT_MS && dispatcher.runningKind === 'cpu') this.#isServed = true
    if (!this.#episode || this.#isServed || gate.isHeld) return
    this.#isServed = true
    const details = { blockedMs, silentMs }
    const sinceMs = monotonicMs() - silentMs
    void dispatcher.request({ kind: 'cpu', rule: 'blocked', details, sinceMs, early: this.#episode.signal })
  }
}

/** A main thread that is silent, has an open inspector and uses no CPU stands at a breakpoint. */
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
    // The main thread's id on Linux is the process's. Elsewhere its time is unknown.
    this.#cpuTicks = readThreadStat(`/proc/self/task/${process.pid}`)?.cpuTicks
    return before !== undefined && before === this.#cpuTicks
  }
}
