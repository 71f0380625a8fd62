import { EventEmitter } from 'node:events'
import { Atomics, messageOf, Promise } from '../base/globals'
import { loadLate } from '../base/late'
import { isOnMainThread } from '../base/main-thread'
import { clearInterval, MAX_TIMER_MS, setInterval } from '../base/time'
import type { DumpKind, DumpResult } from '../dispatch/events'
import { processRegistry } from '../dispatch/gate'
import type * as doctor from '../doctor/at-start'
import { kindOf } from '../options/read'
import type { Settings } from './options'
import { loadStart, startLater } from './start/later'
import type { Monitoring, WatchStats } from './start/start'
import type { Counts } from './tally'
import type { Update } from './update'
import { type MonitorEvents, Voice } from './voice'

/** Result of `stats()`: settings and latest reading of each rule, methods of dumps, and counts of the monitor's events. */
export type MonitorStats = WatchStats & Counts

/**
 * A running monitor. Its events report what it does; its methods take dumps on request, change its settings, and stop it.
 *
 * After the start the monitor throws no error into the application, except from `update()`. When a listener throws or rejects,
 * the monitor emits one event `'failure'`. If it is a listener of `'failure'` itself, the error is only logged.
 */
export class Monitor extends EventEmitter<MonitorEvents> {
  readonly #monitoring: Monitoring | undefined
  readonly #voice: Voice
  /** Why this monitor has not started; empty if it has. */
  readonly #whyNot: string

  /** @internal */
  constructor(settings: Settings, isPreloaded = false) {
    super()
    const voice = new Voice(this, settings.logger, isPreloaded, settings.onDump)
    this.#voice = voice
    this.#whyNot = whyNothingIsWatched() ?? ''
    if (this.#whyNot !== '') {
      voice.notice(`nothing is watched: ${this.#whyNot}`)
      return
    }
    const { preloaded } = processRegistry()
    preloaded?.standBack()
    if (preloaded)
      voice.notice(
        'the application starts the monitor itself: the options in its code are used, those in environment variables are ignored',
      )
    // With `engine: 'packages'` this call throws if a package is missing. Only the start of the whole monitor finds that out.
    const isNeeded = settings.startAtOnce || settings.engine === 'packages'
    // Under Jest the whole monitor starts now: code that is loaded after the end of a test file would be an error of that file.
    const isStartedNow = isNeeded || process.env['JEST_WORKER_ID'] !== undefined
    this.#monitoring = isStartedNow
      ? loadStart().startMonitoring(settings, voice, isPreloaded)
      : startLater(settings, voice, isPreloaded)
    voice.beginHook([...new Set([settings.cpu.directory, settings.memory.directory])])
    if (['1', 'true'].includes(process.env['CMM_DOCTOR'] ?? ''))
      loadDoctor().reportAtStart(this.#monitoring, settings.logger)
  }

  /**
   * Takes a CPU profile on request, whatever the option `limiter` allows. If a dump is running, the profile begins after it.
   * The process is kept alive until the profile is complete.
   *
   * @param durationMs - Length of the profile, ms: a whole number from 1 to 2147483647. Default: the option `cpu.duration`. If
   * an earlier requested profile still waits for a running dump, the call resolves to that profile, whatever its length.
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
   * Takes a heap snapshot on request, whatever the option `limiter` allows. If a dump is running, the snapshot begins after it.
   * If an earlier requested snapshot still waits, the call resolves to that one. The process is kept alive until the snapshot is
   * complete.
   *
   * @returns The dump, or why there is none. Never rejects.
   */
  dumpMemory(): Promise<DumpResult> {
    return this.#dump('memory')
  }

  /**
   * Returns the settings, latest reading and budget of each rule, and counts since the start, as plain data. The call only reads
   * memory, so you can make it as often as you like. Before the event loop turns for the first time, the call also starts the
   * parts of the monitor that have not started yet.
   */
  stats(): MonitorStats {
    return { ...(this.#monitoring?.stats() ?? { rules: {} }), ...this.#voice.tally.counts() }
  }

  /**
   * Changes thresholds, counters, limiters and the length of a CPU profile from the next reading on. Earlier readings above the
   * threshold still count for the counter, and dumps already made still count for the limiter.
   *
   * @throws TypeError, RangeError - for wrong options, as at the start, and for options that cannot be changed.
   * @throws Error for `cpu` or `memory` if this monitor does not watch it, and if this monitor has not started. After any error
   * nothing has changed.
   */
  update(changes: Update): void {
    if (!this.#monitoring)
      throw new Error(`this monitor has not started, so nothing can be changed: ${this.#whyNot}`)
    this.#monitoring.update(changes)
  }

  /**
   * Stops the monitor and undoes all that it installed. A running CPU profile ends early, and its file is complete.
   * Idempotent, never rejects.
   *
   * Until the promise resolves, the signal that triggers heap snapshots has no effect. Afterwards it has its default
   * effect again, which for SIGUSR2 is to end the process, unless the application listens for the signal.
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
   * Stops, before the call returns, all parts of this monitor that would disturb another monitor in this process. The other parts
   * stop soon after.
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

/** Loads the code of the doctor (self-check at start, `CMM_DOCTOR=1`), only on use, because few processes need it. */
function loadDoctor(): typeof doctor {
  return loadLate(() => require('../doctor/at-start') as typeof doctor)
}

function whyNothingIsWatched(): string | undefined {
  if (!isOnMainThread())
    return "the monitor was called in a worker thread; call it on the process's main thread"
  // Up to Node 20, the option `--no-harmony-atomics` removes `Atomics`.
  return Atomics === undefined
    ? 'this Node.js has no Atomics; start it without the option --no-harmony-atomics'
    : undefined
}

function isDuration(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= MAX_TIMER_MS
}

/**
 * Keeps the process alive until a promise settles. The monitor's own timers are unref'd, so without this a program that
 * ends with `await monitor.stop()` would exit with code 13 before the promise settles.
 */
async function holdProcessUntil<T>(promise: Promise<T>): Promise<T> {
  const hold = setInterval(() => undefined, MAX_TIMER_MS)
  try {
    return await promise
  } finally {
    clearInterval(hold)
  }
}
