import { messageOf } from '../base/error-text'
import type { Captured, Capturer, Plan, Refusal } from '../capture/capture'
import { ExitingError } from '../capture/exiting-error'
import { artefactBaseName } from '../files/names'
import { ReadingLog } from './reading-log'
import type { ThresholdRule } from './threshold-rule'
import { tenths } from '../base/tenths'
import type { Sidecar } from '../files/sidecar'
import { sidecarReadings } from './sidecar-readings'
import { AbortController, ownOnly, Promise } from '../base/globals'
import type { DumpBudget } from './dump-budget'
import type { Dump, DumpKind, DumpResult, DumpRule, Report, SkipReason } from './events'
import type { Gate } from './gate'
import { SETTLING_MS } from './gate'

/** How often a waiting manual dump looks again when another copy of the package holds the gate. ms. */
export const GATE_RETRY_MS = 100

/** The two clocks: one that only moves forward, one that people read. Both in ms. */
export interface Clock {
  readonly monotonicMs: () => number
  readonly epochMs: () => number
  /** Calls back once, after `delayMs`, without keeping the process alive. */
  readonly later: (delayMs: number, callback: () => void) => void
}

/** What the dispatcher needs of one kind of dump. */
export interface DumpLine {
  readonly capturer: Capturer
  readonly budget: DumpBudget
  readonly directory: string
  /** Absent when nobody watches this kind; manual dumps work all the same. */
  readonly rule?: ThresholdRule | undefined
}

export interface DispatcherParts {
  readonly cpu: DumpLine
  readonly memory: DumpLine
  readonly gate: Gate
  readonly clock: Clock
  readonly report: Report
  /** Length of a CPU profile when the request names none, ms. */
  readonly profileDurationMs: number
  /** Where the evidence comes from; directory and start are added per dump. */
  readonly where: Omit<Sidecar['where'], 'directory' | 'startedAt'>
  /** Deletes old dumps in a directory after a good one, whose main file is `made`. Does not reject. */
  readonly retain: (directory: string, made: string) => Promise<void>
  /** Told when a dump begins and when it has ended, whatever became of it. */
  readonly onRunning?: ((isRunning: boolean) => void) | undefined
}

/** A request for a dump. */
export interface DumpRequest {
  readonly kind: DumpKind
  readonly rule: DumpRule
  /** The rule's own words and numbers, for the sidecar. */
  readonly details: Readonly<Record<string, unknown>>
  /** What the rule looked at, where that is not the readings of the kind. */
  readonly readings?: Sidecar['why']['readings'] | undefined
  /** Length of a CPU profile, ms. */
  readonly durationMs?: number | undefined
  /** Ends a CPU profile before its time, with a whole file. */
  readonly early?: AbortSignal | undefined
}

interface RunningDump {
  readonly request: DumpRequest
  readonly early: AbortController
  /** Set when the dump has begun. */
  done: Promise<DumpResult> | undefined
  /** The reported outcome. Set early by `endNow` when the process exits. */
  told: DumpResult | undefined
}

interface WaitingRequest {
  readonly request: DumpRequest
  readonly result: Promise<DumpResult>
  readonly settle: (result: DumpResult) => void
}

/**
 * WHETHER to dump. The one object that owns episodes, gate, budgets and queue; it does not know on which thread it runs.
 *
 * Every request takes the same way: gate (one dump at a time) → room (disk, memory) → limiter → capture. A skip costs no
 * token, a capture that fails costs one. Manual dumps pay nothing and wait for their turn.
 */
export class Dispatcher {
  readonly #parts: DispatcherParts
  readonly #readings = { cpu: new ReadingLog(), memory: new ReadingLog() }
  readonly #waiting: WaitingRequest[] = []
  #isStopped = false
  #running: RunningDump | undefined
  #lastStartEpochMs = 0

  constructor(parts: DispatcherParts) {
    this.#parts = parts
  }

  /** The kind of the dump that is being made now. */
  get runningKind(): DumpKind | undefined {
    return this.#running?.request.kind
  }

  /**
   * Takes a reading and does what it calls for.
   *
   * @param sinceMs - Monotonic time at which the span that the reading speaks of began. CPU use is a span, memory a moment.
   */
  observe(kind: DumpKind, value: number, sinceMs: number): void {
    const { gate, clock, report } = this.#parts
    const { rule } = this.#parts[kind]
    if (!rule || this.#isStopped) return
    this.#readings[kind].add({ atEpochMs: clock.epochMs(), value })
    if (!gate.isCalm(sinceMs)) {
      rule.interrupt()
      return
    }
    const { trips, endsEpisode } = rule.observe(value)
    if (endsEpisode) report.notice(`${kind} is back at or below its threshold of ${rule.threshold}`)
    if (!trips) return
    const details = { threshold: rule.threshold, counter: rule.counter, reading: value }
    void this.request({ kind, rule: 'threshold', details })
  }

  /** Makes a dump, or says why not. Never rejects. */
  request(given: DumpRequest): Promise<DumpResult> {
    const request = ownOnly(given)
    if (this.#isStopped) return Promise.resolve(this.#skip(request, 'stopped'))
    if (request.rule === 'manual') return this.#queue(request)
    if (!this.#parts.gate.enter(request.kind)) return Promise.resolve(this.#skip(request, 'busy'))
    return this.#run(request)
  }

  /** Ends a running CPU profile early, refuses all that waits, and resolves when the last file is closed. Idempotent. */
  async stop(): Promise<void> {
    this.#isStopped = true
    this.#running?.early.abort()
    this.#refuseWaiting()
    await this.#running?.done
  }

  /**
   * For a process that exits, on the thread that exits: no event loop turns any more and no promise settles. A capture that
   * can be ended is ended within the call, and told; of one that cannot, and of all that waits, the skip is told. Never
   * throws.
   *
   * @param isTimeOver - When it is, the process ends with a `.partial` left.
   * @param goesOnAlone - What runs needs this process no more, and is nothing to end or to be told skipped.
   */
  endNow(isTimeOver: () => boolean, goesOnAlone = false): void {
    this.#isStopped = true
    this.#refuseWaiting()
    const running = this.#running
    if (!running || running.told) return
    const { request, early } = running
    early.abort()
    try {
      const captured = this.#parts[request.kind].capturer.endNow?.(isTimeOver)
      if (captured) this.#tell(request, captured, captured.durationMs)
      else if (goesOnAlone) running.told = { skipped: 'stopped' }
      else running.told = this.#skip(request, 'stopped')
    } catch (error) {
      this.#fail(request, error)
    }
  }

  #refuseWaiting(): void {
    for (const { request, settle } of this.#waiting.splice(0)) settle(this.#skip(request, 'stopped'))
  }

  /** Manual dumps of one kind coalesce while one waits: whoever asks gets the same file. */
  #queue(request: DumpRequest): Promise<DumpResult> {
    const twin = this.#waiting.find((waiting) => waiting.request.kind === request.kind)
    if (twin) return twin.result
    let settle!: (result: DumpResult) => void
    const result = new Promise<DumpResult>((resolve) => (settle = resolve))
    this.#waiting.push({ request, result, settle })
    this.#serveNext()
    return result
  }

  #serveNext(): void {
    const next = this.#waiting[0]
    if (!next || this.#running) return
    if (!this.#parts.gate.enter(next.request.kind)) {
      this.#parts.clock.later(GATE_RETRY_MS, () => this.#serveNext())
      return
    }
    this.#waiting.shift()
    void this.#run(next.request).then(next.settle)
  }

  /** Called with the gate entered. */
  #run(request: DumpRequest): Promise<DumpResult> {
    const early = new AbortController()
    const running: RunningDump = { request, early, done: undefined, told: undefined }
    this.#running = running
    return (running.done = this.#attempt(running))
  }

  /** Never rejects, and leaves the gate whatever happens. */
  async #attempt({ request, early }: RunningDump): Promise<DumpResult> {
    const { gate, clock, onRunning } = this.#parts
    const { budget } = this.#parts[request.kind]
    let isCaptured = false
    try {
      onRunning?.(true)
      request.early?.addEventListener('abort', () => early.abort())
      if (request.early?.aborted) early.abort()
      const plan = ownOnly(await this.#plan(request))
      if (this.#running?.told) return this.#running.told
      if (!('take' in plan)) return this.#skip(request, plan.skip, plan.numbers)
      if (this.#isStopped) return this.#skip(request, 'stopped')
      if (request.rule !== 'manual' && !budget.tryRemoveToken())
        return this.#skip(request, 'limited', { ...budget.terms })
      isCaptured = true
      return await this.#capture(request, plan, early.signal)
    } catch (error) {
      if (this.#running?.told) return this.#running.told
      return error instanceof ExitingError ? this.#skip(request, 'stopped') : this.#fail(request, error)
    } finally {
      // Before the gate opens: the next dump sets it anew.
      this.#running = undefined
      gate.leave(isCaptured ? clock.monotonicMs() + SETTLING_MS : undefined)
      onRunning?.(false)
      this.#serveNext()
    }
  }

  #plan({ kind }: DumpRequest): Promise<Plan | Refusal> {
    const { capturer, directory } = this.#parts[kind]
    return capturer.plan(directory)
  }

  async #capture(request: DumpRequest, plan: Plan, early: AbortSignal): Promise<DumpResult> {
    const { clock, where, profileDurationMs, retain } = this.#parts
    const {
      kind,
      rule,
      details,
      durationMs = profileDurationMs,
      readings = sidecarReadings(this.#readings[kind]),
    } = request
    const { directory } = this.#parts[kind]
    const startedAtMs = this.#nextStartEpochMs()
    const beganMs = clock.monotonicMs()
    const taken = await plan.take(
      {
        directory,
        baseName: artefactBaseName({ kind, rule, pid: where.pid, startedAtMs }),
        durationMs,
        sidecar: {
          why: { kind, rule, details, readings },
          where: { ...where, directory, startedAt: new Date(startedAtMs).toISOString() },
        },
      },
      early,
    )
    const captured = ownOnly(taken)
    if (this.#running?.told) return this.#running.told
    if ('skip' in captured) return this.#skip(request, captured.skip, captured.numbers)
    const dump = this.#tell(request, captured, clock.monotonicMs() - beganMs)
    const refusal = captured.refusal ?? plan.refusal
    if (refusal) this.#skip(request, refusal.skip, refusal.numbers)
    if (captured.failure) this.#fail(request, captured.failure)
    await retain(directory, dump.file)
    return dump
  }

  #tell(request: DumpRequest, captured: Captured, durationMs: number): Dump {
    const dump = asDump(request, captured, durationMs)
    this.#setTold(dump)
    this.#parts.report.dump(dump)
    return dump
  }

  /** Like a skip, told once per episode: what fails before the capture costs no token, and would be told at each trip. */
  #fail(request: DumpRequest, error: unknown): DumpResult {
    const { kind } = request
    const message = messageOf(error)
    const result = { skipped: 'failed', message } as const
    this.#setTold(result)
    // Names of files and times waited differ each time; what remains is the same failure.
    if (this.#isNews(request, `failed: ${message.replace(/\d+/g, '')}`))
      this.#parts.report.failure({ stage: 'capture', kind, message, error })
    return result
  }

  /** Before it is said: who hears it may exit, and an exit must not say that this dump was not made. */
  #setTold(result: DumpResult): void {
    if (this.#running) this.#running.told ??= result
  }

  /** File names carry the ms of their start: two dumps never share one. */
  #nextStartEpochMs(): number {
    this.#lastStartEpochMs = Math.max(Math.trunc(this.#parts.clock.epochMs()), this.#lastStartEpochMs + 1)
    return this.#lastStartEpochMs
  }

  #skip(
    request: DumpRequest,
    reason: SkipReason,
    numbers: Readonly<Record<string, number>> = {},
  ): { readonly skipped: SkipReason } {
    const { kind, rule } = request
    if (this.#isNews(request, reason)) this.#parts.report.skip({ kind, rule, reason, numbers })
    return { skipped: reason }
  }

  /** A threshold tells each reason once per episode; whoever asked otherwise is always told. */
  #isNews({ kind, rule }: DumpRequest, reason: string): boolean {
    const episode = rule === 'threshold' ? this.#parts[kind].rule?.episode : undefined
    return episode?.isNews(reason) ?? true
  }
}

function asDump({ kind, rule }: DumpRequest, captured: Captured, durationMs: number): Dump {
  const { artefacts, way, passedOver, pauseMs, lateMs, childPeakBytes } = captured
  const [main] = artefacts
  return {
    kind,
    rule,
    file: main.file,
    files: artefacts.map(({ file }) => file),
    sizeBytes: main.sizeBytes,
    way,
    passedOver,
    pauseMs: tenths(pauseMs),
    durationMs: tenths(durationMs),
    ...(childPeakBytes === undefined ? {} : { childPeakBytes }),
    ...(lateMs === undefined ? {} : { lateMs }),
  }
}
