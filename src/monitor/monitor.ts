import { EventEmitter } from 'node:events'
import { isMainThread } from 'node:worker_threads'
import { Atomics, messageOf, Promise } from '../base/globals'
import { clearInterval, MAX_TIMER_MS, setInterval } from '../base/time'
import type { DumpKind, DumpResult } from '../dispatch/events'
import { processRegistry } from '../dispatch/gate'
import type * as doctor from '../doctor/at-start'
import { kindOf } from '../options/read'
import type { Settings } from './options'
import { type Monitoring, startMonitoring, type WatchStats } from './start'
import type { Counts } from './tally'
import type { Update } from './update'
import { type MonitorEvents, Voice } from './voice'

/** Result of `stats()`. */
export type MonitorStats = WatchStats & Counts

/**
 * A running monitor: its events report what it does, its methods take manual dumps and stop it.
 *
 * After the start it throws nothing into the application. A listener that throws or rejects becomes one `'failure'`.
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
      voice.notice(`nothing is watched: ${whyNot}`)
      return
    }
    const { preloaded } = processRegistry()
    preloaded?.standBack()
    if (preloaded)
      voice.notice(
        'the application starts the monitor itself: its options are used, those of the environment are ignored',
      )
    this.#monitoring = startMonitoring(settings, voice, isPreloaded)
    voice.beginHook([...new Set([settings.cpu.directory, settings.memory.directory])])
    if (['1', 'true'].includes(process.env['CMM_DOCTOR'] ?? ''))
      loadDoctor().reportAtStart(this.#monitoring, settings.logger)
  }

  /**
   * Takes a CPU profile on request. Exempt from the limiter; waits for a running dump. Keeps the process alive until it
   * is done.
   *
   * @param durationMs - Whole ms from 1 to 2147483647. Default: `cpu.duration`. A call while another requested profile
   * waits for a running dump resolves to that profile, whatever its length.
   * @returns The dump, or why there is none. Never rejects.
   */
  async dumpCpu(durationMs?: number): Promise<DumpResult> {
    if (durationMs !== undefined && !isDuration(durationMs)) {
      const message = `dumpCpu: durationMs must be a whole number from 1 to ${MAX_TIMER_MS}; received ${kindOf(durationMs)}`
      return { skipped: 'failed', message }
    }
    return this.#dump('cpu', durationMs)
  }

  /**
   * Takes a heap snapshot on request. Exempt from the limiter; waits for a running dump. Keeps the process alive until
   * it is done.
   *
   * @returns The dump, or why there is none. Never rejects.
   */
  dumpMemory(): Promise<DumpResult> {
    return this.#dump('memory')
  }

  /**
   * Returns readings, counters and budgets since the start, as plain data. It only reads memory, so it can be called as
   * often as you like.
   */
  stats(): MonitorStats {
    return { ...(this.#monitoring?.stats() ?? { rules: {} }), ...this.#voice.tally.counts() }
  }

  /**
   * Changes thresholds, counters, limiters and the length of a CPU profile from the next reading on. Readings counted
   * so far and tokens spent are kept.
   *
   * @throws TypeError, RangeError - for wrong options, as at the start, and for options that cannot be changed. Then
   * nothing has changed.
   * @throws Error for a kind that this monitor does not watch.
   */
  update(changes: Update): void {
    if (!this.#monitoring) throw new Error('this monitor watches nothing, so nothing can be changed')
    this.#monitoring.update(changes)
  }

  /**
   * Stops the monitor and undoes all that it installed; a running CPU profile is ended early and written whole.
   * Idempotent, never rejects.
   *
   * Until it resolves the manual signal has no effect. Afterwards it has its default effect again, which for SIGUSR2 is
   * to end the process.
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
   * Makes way for another monitor of this process, within the call.
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

/** Late: most processes do not ask it. */
function loadDoctor(): typeof doctor {
  return require('../doctor/at-start') as typeof doctor
}

function whyNothingIsWatched(): string | undefined {
  if (!isMainThread) return "the monitor was called in a worker thread; call it on the process's main thread"
  // Atomics are missing with the option `--no-harmony-atomics`, up to Node 20.
  return Atomics === undefined ? 'this Node.js was started without Atomics' : undefined
}

function isDuration(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= MAX_TIMER_MS
}

/**
 * Keeps the process alive until a promise settles. What the monitor does by itself does not keep it alive, but what the
 * application awaits must: otherwise `await monitor.stop()` at the end of a program would end it with exit code 13.
 */
async function holdProcessUntil<T>(promise: Promise<T>): Promise<T> {
  const hold = setInterval(() => undefined, MAX_TIMER_MS)
  try {
    return await promise
  } finally {
    clearInterval(hold)
  }
}
