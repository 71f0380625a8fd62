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
 * Starts to check, every 250 ms on the watchdog thread, whether the main thread's event loop is blocked. Each time it gets
 * blocked, one CPU dump is requested, unless one is being made already.
 *
 * @returns A function that stops the checks.
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
 * Requests one CPU dump each time the event loop gets blocked, and ends the profile early when the loop runs again. A CPU
 * dump that already runs counts as that dump. If a memory dump runs, the request is made when it has ended, provided that
 * the loop is still blocked.
 *
 * If the main thread is in one long native call, the profile begins only when the call returns, and often ends right
 * after. That short profile is still useful: it begins with the stack of the long call.
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

  /** Checks whether the loop is blocked. Must be called every {@link TICK_MS}. */
  tick(): void {
    const watch = this.#watch
    // The monitor itself blocks the main thread while it takes a snapshot there. A forked child's snapshot does not block.
    const isOurDoing = this.#parts.gate.isMainThreadAtOrder
    const isPaused = this.#debuggerPause.isLikely(watch.silentMs) || isOurDoing
    const change = watch.tick(this.#parts.beats.count, isPaused)
    if (change === 'blocks') this.#episode = new AbortController()
    if (change === 'frees') this.stop()
    if (watch.silentMs === 0) this.#isServed = false
    this.#serve()
  }

  /** Ends the CPU profile that was requested, if it still runs. */
  stop(): void {
    this.#episode?.abort()
    this.#episode = undefined
  }

  #serve(): void {
    const { blockedMs, dispatcher, gate } = this.#parts
    const { silentMs } = this.#watch
    // The next beat (sign of life) is overdue, so a CPU profile that runs now shows what blocks the loop. One is enough.
    if (silentMs > BEAT_MS && dispatcher.runningKind === 'cpu') this.#isServed = true
    if (!this.#episode || this.#isServed || gate.isHeld) return
    this.#isServed = true
    const details = { blockedMs, silentMs }
    const sinceMs = monotonicMs() - silentMs
    void dispatcher.request({ kind: 'cpu', rule: 'blocked', details, sinceMs, early: this.#episode.signal })
  }
}

/** Guesses whether a debugger has paused the main thread: its inspector is open, and it sends no beats and uses no CPU time. */
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
