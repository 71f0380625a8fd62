import { EventEmitter } from 'node:events'
import { isMainThread } from 'node:worker_threads'
import { messageOf } from '../base/error-text'
import { Atomics, Promise } from '../base/globals'
import { clearInterval, MAX_TIMER_MS, setInterval } from '../base/timers'
import type { DumpKind, DumpResult } from '../dispatch/events'
import { processRegistry } from '../dispatch/process-registry'
import { describe } from '../options/read'
import type { Settings } from './options'
import { type Monitoring, startMonitoring, type WatchStats } from './start'
import type { Counts } from './tally'
import type { Update } from './update'
import { type MonitorEvents, Voice } from './voice'

/** What `stats()` returns. */
export type MonitorStats = WatchStats & Counts

/**
 * A running monitor: its events report what it did, its methods dump by hand and stop it.
 *
 * Nothing in it throws into the host after the start. A listener that throws or rejects becomes one `'failure'`.
 */
export class Monitor extends EventEmitter<MonitorEvents> {
  readonly #monitoring: Monitoring | undefined
  readonly #voice: Voice

  /** @internal */
  constructor(settings: Settings, isPreloaded = false) {
    super()
    const voice = new Voice(this, settings.logger, isPreloaded, settings.onDump)
    this.#voice = voice
    const whyNot = whyNothingIsWatched()
    if (whyNot !== undefined) {
      voice.notice(`nothing is watched ${whyNot}`)
      return
    }
    const { preloaded } = processRegistry()
    preloaded?.standBack()
    if (preloaded)
      voice.notice(
        'the application calls the monitor itself: its options count, those of the environment do not',
      )
    this.#monitoring = startMonitoring(settings, voice, isPreloaded)
    voice.beginHook([...new Set([settings.cpu.directory, settings.memory.directory])])
  }

  /**
   * Takes a CPU profile by hand. Exempt from the limiter; waits for a running dump. Keeps the process alive until then.
   *
   * @param durationMs - Whole ms from 1 to 2147483647. Default: `cpu.duration`. A call while another
   * profile by hand waits for its turn resolves to that one, whatever its length.
   * @returns The dump, or why there is none. Never rejects.
   */
  async dumpCpu(durationMs?: number): Promise<DumpResult> {
    if (durationMs !== undefined && !isDuration(durationMs)) {
      const message = `dumpCpu: durationMs must be a whole number from 1 to ${MAX_TIMER_MS}; received ${describe(durationMs)}`
      return { skipped: 'failed', message }
    }
    return this.#dump('cpu', durationMs)
  }

  /**
   * Takes a heap snapshot by hand. Exempt from the limiter; waits for a running dump. Keeps the process alive until then.
   *
   * @returns The dump, or why there is none. Never rejects.
   */
  dumpMemory(): Promise<DumpResult> {
    return this.#dump('memory')
  }

  /**
   * Reports what has been read, counted and decided since the start, as plain data. Costs the application no message: call it as
   * often as you like.
   */
  stats(): MonitorStats {
    return { ...(this.#monitoring?.stats() ?? { rules: {} }), ...this.#voice.tally.counts() }
  }

  /**
   * Changes thresholds, counters, limiters and the length of a CPU profile from the next reading on. Readings that count already and
   * dumps that are spent are kept.
   *
   * @throws TypeError, RangeError - as the call does, and for what cannot be changed. Nothing has changed then.
   * @throws Error for a kind that this monitor does not watch.
   */
  update(changes: Update): void {
    if (!this.#monitoring) throw new Error('this monitor watches nothing, so nothing can be changed')
    this.#monitoring.update(changes)
  }

  /**
   * Undoes everything; a running CPU profile is ended early and written whole. Idempotent, never rejects.
   *
   * Until it resolves the manual signal has no effect. Afterwards it has its default effect again, which for SIGUSR2 is to
   * end the process.
   *
   * @returns Resolves when the last file is closed, and calls of `onDump` have settled or are past their deadline.
   */
  stop(): Promise<void> {
    if (!this.#monitoring) return Promise.resolve()
    return holdProcessUntil(
      this.#monitoring
        .stop()
        .then(() => this.#voice.hooksSettled())
        .then(() => this.#voice.endHook()),
    )
  }

  /**
   * Leaves the process to another monitor, within the call.
   *
   * @internal
   */
  abandon(): void {
    this.#monitoring?.abandon()
    this.#voice.endHook()
  }

  async #dump(kind: DumpKind, durationMs?: number): Promise<DumpResult> {
    if (!this.#monitoring) return { skipped: 'stopped' }
    try {
      return await holdProcessUntil(this.#monitoring.dumpByHand(kind, { askedBy: 'api' }, durationMs))
    } catch (error) {
      return { skipped: 'failed', message: messageOf(error) }
    }
  }
}

function whyNothingIsWatched(): string | undefined {
  if (!isMainThread) return "from a worker thread; call it on the process's main thread"
  // `--no-harmony-atomics`, up to Node 20.
  return Atomics === undefined ? 'in a Node.js that was started without Atomics' : undefined
}

function isDuration(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= MAX_TIMER_MS
}

/**
 * What the monitor does by itself does not keep the process alive. What the application awaits has to: otherwise `await
 * monitor.stop()` at the end of a program would end it with exit code 13.
 */
async function holdProcessUntil<T>(promise: Promise<T>): Promise<T> {
  const hold = setInterval(() => undefined, MAX_TIMER_MS)
  try {
    return await promise
  } finally {
    clearInterval(hold)
  }
}
