import { readFileSync } from 'node:fs'
import { BEAT_MS, BeatWatch, TICK_MS } from '../core/beat-watch'
import type { Dispatcher } from '../dispatch/dispatcher'
import type { Gate } from '../dispatch/gate'
import type { Beats } from './beats'
import { startLoop } from './loop'

export interface BlockedLoopParts {
  readonly blockedMs: number
  readonly beats: Pick<Beats, 'count' | 'isDebuggerPossible'>
  readonly dispatcher: Pick<Dispatcher, 'request' | 'runningKind'>
  readonly gate: Pick<Gate, 'isHeld'>
}

/**
 * Asks for a CPU dump when the main thread's event loop hangs: one per blocked episode, ended early when it frees itself.
 *
 * Runs on the watchdog thread. A CPU dump that is being made anyway counts as that one; any other is waited for.
 *
 * @returns The undoing.
 */
export function startBlockedLoop({
  blockedMs,
  beats,
  dispatcher,
  gate,
}: BlockedLoopParts): () => Promise<void> {
  const watch = new BeatWatch(blockedMs)
  const debuggerPause = new DebuggerPause(beats)
  let episode: AbortController | undefined
  let isServed = false
  /** A dump in place stops the main thread by itself. */
  const isOurDoing = () => gate.isHeld && dispatcher.runningKind !== 'cpu'
  const serve = () => {
    // More silence than between two beats: what that profile shows is this blockage, even if it ends before the trip.
    if (watch.silentMs > BEAT_MS && dispatcher.runningKind === 'cpu') isServed = true
    if (!episode || isServed || gate.isHeld) return
    isServed = true
    const details = { blockedMs, silentMs: watch.silentMs }
    void dispatcher.request({ kind: 'cpu', rule: 'blocked', details, early: episode.signal })
  }
  const stopLoop = startLoop(TICK_MS, () => {
    const isPaused = debuggerPause.isLikely(watch.silentMs) || isOurDoing()
    const change = watch.tick(beats.count, isPaused)
    if (change === 'blocks') episode = new AbortController()
    if (change === 'frees') {
      episode?.abort()
      episode = undefined
    }
    if (watch.silentMs === 0) isServed = false
    serve()
    return Promise.resolve()
  })
  return async () => {
    await stopLoop()
    episode?.abort()
  }
}

/** A main thread that is silent, has an open inspector and uses no CPU stands at a breakpoint. */
class DebuggerPause {
  readonly #beats: Pick<Beats, 'isDebuggerPossible'>
  #cpuTicks: string | undefined

  constructor(beats: Pick<Beats, 'isDebuggerPossible'>) {
    this.#beats = beats
  }

  isLikely(silentMs: number): boolean {
    if (!this.#beats.isDebuggerPossible || silentMs < TICK_MS) {
      this.#cpuTicks = undefined
      return false
    }
    const before = this.#cpuTicks
    this.#cpuTicks = mainThreadCpuTicks()
    return before !== undefined && before === this.#cpuTicks
  }
}

/** User and system time of the main thread, whose thread id on Linux is the process id. Elsewhere unknown. */
function mainThreadCpuTicks(): string | undefined {
  try {
    const stat = readFileSync(`/proc/self/task/${process.pid}/stat`, 'utf8')
    // The name in brackets may hold spaces and brackets of its own; utime and stime are the 12th and 13th field after it.
    return stat
      .slice(stat.lastIndexOf(')') + 2)
      .split(' ')
      .slice(11, 13)
      .join(' ')
  } catch {
    return undefined
  }
}
