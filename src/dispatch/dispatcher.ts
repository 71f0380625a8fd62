import { AbortController, messageOf, ownOnly, owns, Promise } from '../base/globals'
import { type Clock, tenths } from '../base/time'
import { type Captured, type Capturer, ExitingError, type Job } from '../capture/capture'
import { artefactBaseName } from '../files/names'
import type { Sidecar } from '../files/sidecar'
import type { Makeup } from '../makeup/makeup'
import { guiltyWorker } from '../makeup/sentence'
import type { DumpBudget } from './budget'
import { type DumpOnce, dumpOnce } from './dump-once'
import type {
  Dump,
  DumpKind,
  DumpRequest,
  DumpResult,
  DumpRule,
  Picture,
  Report,
  RunningDump,
  SkipReason,
  WaitingRequest,
} from './events'
import type { FleetBudget } from './fleet'
import { type Gate, SETTLING_MS } from './gate'
import type { ThresholdRule, ThresholdVerdict } from './threshold-rule'

/** Interval at which a waiting manual dump tries again when another copy of the package holds the gate, ms. */
export const GATE_RETRY_MS = 100

/** The parts that the dispatcher needs for one kind of dump. */
export interface KindParts {
  readonly capturer: Capturer
  readonly directory: string
  readonly takeTurn?: DumpOnce<never>['takeTurn']
}

/** One rule: readings of one metric, and the dumps that they trigger. */
export interface WatchedRule {
  /** `cpu`, `memory`, or the name that the user gave. */
  readonly name: string
  readonly kind: DumpKind
  /** The quantity that is read, for the sidecar: it gives threshold and readings their unit. @default none is written */
  readonly metric?: string | undefined
  readonly rule: ThresholdRule
  readonly budget: DumpBudget
}

export interface DispatcherParts {
  readonly cpu: KindParts
  readonly memory: KindParts
  /** A kind without a rule of its name is dumped only on a manual request, or for another rule. */
  readonly rules: readonly WatchedRule[]
  readonly gate: Gate
  /** A budget that other processes share. @default none */
  readonly fleet?: FleetBudget | undefined
  readonly clock: Clock
  readonly report: Report
  /** Length of a CPU profile when the request names none, ms. */
  readonly profileDurationMs: number
  /** Process and machine, for the sidecar; directory and start time are added per dump. */
  readonly where: Omit<Sidecar['where'], 'directory' | 'startedAt'>
  /** Deletes old dumps in a directory after a good one, whose main file is `made`. Does not reject. */
  readonly retain: (directory: string, made: string) => Promise<void>
  /**
   * Describes the process since that monotonic time, ms. Called when a dump begins. Does not reject.
   *
   * @default no description
   */
  readonly picture?: ((sinceMs: number | undefined, early: AbortSignal) => Promise<Picture>) | undefined
  /** Called when a dump begins and when it has ended, whatever its outcome. */
  readonly onRunning?: ((isRunning: boolean) => void) | undefined
}

/**
 * Decides whether to dump. The one owner of rules, gate, budgets and queue; it does not depend on the thread on which
 * it runs.
 *
 * Every request passes the same steps: gate (one dump at a time) → room (disk, memory) → limiter → fleet → capture. One
 * whose budget is spent is refused before the gate. A skip costs no token, a failed capture costs one of its own budget
 * and none of the fleet's. Manual dumps cost none, and wait while another dump runs.
 */
export class Dispatcher {
  readonly #parts: DispatcherParts
  readonly #rules: ReadonlyMap<string, RuleState>
  readonly #waiting: WaitingRequest[] = []
  #isStopped = false
  #endQuestions: () => void = () => undefined
  /** Resolves with the stop: nothing waits for the fleet's answer then. */
  readonly #stopped = new Promise<undefined>((resolve) => (this.#endQuestions = () => resolve(undefined)))
  #running: RunningDump | undefined
  #lastStartEpochMs = 0

  constructor(parts: DispatcherParts) {
    this.#parts = parts
    this.#rules = new Map(parts.rules.map((rule) => [rule.name, new RuleState(rule)]))
  }

  /** Kind of the dump that is being made; `undefined` when none is. */
  get runningKind(): DumpKind | undefined {
    return this.#running?.request.kind
  }

  /**
   * Takes a reading of a rule, and requests a dump if the rule trips (enough readings above its threshold in a row).
   *
   * @param sinceMs - Monotonic time at which the span of the reading began. CPU use is a mean over a span, memory a
   * moment.
   */
  observe(name: string, value: number, sinceMs: number): void {
    const { gate, clock, report } = this.#parts
    const state = this.#rules.get(name)
    if (!state || this.#isStopped) return
    const { kind, metric, rule } = state.watched
    state.readings.add({ atEpochMs: clock.epochMs(), value })
    if (!gate.isCalm(sinceMs)) {
      state.interrupt()
      return
    }
    const { trips, endsEpisode, breachingSinceMs } = state.observe(value, sinceMs)
    if (endsEpisode) report.notice(`${name} is back at or below its threshold of ${rule.threshold}`)
    if (!trips) return
    const numbers = { threshold: rule.threshold, counter: rule.counter, reading: value }
    const details = { ...numbers, ...(metric !== undefined && { metric }) }
    void this.request({ kind, rule: requestRule(name, kind), details, sinceMs: breachingSinceMs })
  }

  /** Makes a dump, or resolves to the reason why not. Never rejects. */
  request(given: DumpRequest): Promise<DumpResult> {
    const request = ownOnly(given)
    if (this.#isStopped) return Promise.resolve(this.#skip(request, 'stopped'))
    if (request.rule === 'manual') return this.#queue(request)
    // Checked before the gate is entered: while a dump holds the gate, even one that is refused in the end, no reading
    // counts.
    const budget = this.#ruleOf(request)?.watched.budget
    if (budget?.isSpent) return Promise.resolve(this.#skip(request, 'limited', { ...budget.terms }))
    const refused = this.#parts.fleet?.refusal(request.kind)
    if (refused) return Promise.resolve(this.#skip(request, 'fleet', refused))
    if (!this.#parts.gate.enter(request.kind)) return Promise.resolve(this.#skip(request, 'busy'))
    return this.#run(request)
  }

  /** Ends a running CPU profile early, refuses waiting requests, resolves when the last file is closed. Idempotent. */
  async stop(): Promise<void> {
    this.#isStopped = true
    this.#endQuestions()
    this.#running?.early.abort()
    this.#refuseWaiting()
    await this.#running?.done
  }

  /**
   * Ends the running dump of an exiting process, on the thread that exits: its event loop has stopped, and no promise
   * settles. A capture that can be ended is ended within the call and reported. One that cannot, and all waiting
   * requests, are reported as skipped. Never throws.
   *
   * @param isTimeOver - When it returns `true`, the process ends and leaves a `.partial`.
   * @param goesOnAlone - The running dump no longer needs this process: it is neither ended nor reported as skipped.
   */
  endNow(isTimeOver: () => boolean, goesOnAlone = false): void {
    this.#isStopped = true
    this.#refuseWaiting()
    const running = this.#running
    if (!running || running.reported) return
    const { request, early } = running
    early.abort()
    try {
      const captured = this.#parts[request.kind].capturer.endNow?.(isTimeOver)
      if (captured) this.#report(request, captured, captured.durationMs)
      else if (goesOnAlone) running.reported = { skipped: 'stopped' }
      else running.reported = this.#skip(request, 'stopped')
    } catch (error) {
      this.#fail(request, error)
    }
  }

  #refuseWaiting(): void {
    for (const { request, settle } of this.#waiting.splice(0)) settle(this.#skip(request, 'stopped'))
  }

  /** Manual requests of one kind share one dump while it waits: all callers get the same file. */
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

  /** Called after the gate has been entered. */
  #run(request: DumpRequest): Promise<DumpResult> {
    const early = new AbortController()
    const unknown = { done: undefined, reported: undefined, picture: undefined, giveBack: undefined }
    const running: RunningDump = { request, early, ...unknown }
    this.#running = running
    return (running.done = this.#attempt(running))
  }

  /** Makes the dump. Never rejects, and leaves the gate in every case. */
  async #attempt(running: RunningDump): Promise<DumpResult> {
    const { request, early } = running
    const { gate, clock, onRunning, picture } = this.#parts
    let isCaptured = false
    let beganMs = 0
    try {
      onRunning?.(true)
      request.early?.addEventListener('abort', () => early.abort())
      if (request.early?.aborted) early.abort()
      const { capturer, directory, takeTurn } = this.#parts[request.kind]
      if (picture) running.picture = await picture(request.sinceMs, early.signal)
      const begin = async (): Promise<Job | { declined: DumpResult }> => {
        const declined = running.reported ?? (await this.#decline(running))
        if (declined) return { declined }
        isCaptured = true
        beganMs = clock.monotonicMs()
        return this.#describe(running)
      }
      const outcome = await dumpOnce({ capturer, directory, takeTurn, early: early.signal, begin })
      if (this.#running?.reported) return this.#running.reported
      if (owns(outcome, 'declined')) return outcome.declined
      const { captured, refusal } = outcome
      if (!captured) return this.#skip(request, refusal.skip, refusal.numbers)
      const dump = this.#report(request, captured, clock.monotonicMs() - beganMs)
      if (refusal) this.#skip(request, refusal.skip, refusal.numbers)
      if (captured.failure) this.#fail(request, captured.failure)
      await this.#parts.retain(directory, dump.file)
      return dump
    } catch (error) {
      if (this.#running?.reported) return this.#running.reported
      return error instanceof ExitingError ? this.#skip(request, 'stopped') : this.#fail(request, error)
    } finally {
      if (!running.reported || !owns(running.reported, 'file')) running.giveBack?.()
      // Cleared before the gate is left: the next dump sets this field.
      this.#running = undefined
      gate.leave(isCaptured ? clock.monotonicMs() + SETTLING_MS : undefined)
      onRunning?.(false)
      this.#serveNext()
    }
  }

  /** Returns why a dump that fits is not made: the budget is spent, or the monitor was stopped. */
  async #decline(running: RunningDump): Promise<DumpResult | undefined> {
    const { request } = running
    const budget = this.#ruleOf(request)?.watched.budget
    const { fleet } = this.#parts
    if (this.#isStopped) return this.#skip(request, 'stopped')
    if (request.rule === 'manual') return undefined
    if (fleet && budget?.isSpent === false) {
      const question = fleet.take(request.kind)
      const answer = await Promise.race([question, this.#stopped])
      // An exit has reported it already.
      if (running.reported || !answer || this.#isStopped) {
        void question.then((late) => owns(late, 'giveBack') && late.giveBack())
        return running.reported ?? this.#skip(request, 'stopped')
      }
      if (owns(answer, 'refused')) return this.#skip(request, 'fleet', answer.refused)
      running.giveBack = answer.giveBack
    }
    if (budget?.tryRemoveToken()) return undefined
    return this.#skip(request, 'limited', { ...budget?.terms })
  }

  #describe({ request, picture }: RunningDump): Job {
    const { where, profileDurationMs } = this.#parts
    const { kind, rule, details, durationMs = profileDurationMs } = request
    const { readings = this.#ruleOf(request)?.sidecarReadings() ?? [] } = request
    const { directory } = this.#parts[kind]
    const startedAtMs = this.#nextStartEpochMs()
    // A leak is found in the heap of the main thread, however large another is.
    const isOfProcess = kind === 'memory' && rule !== 'leak'
    const worker = isOfProcess && picture ? guiltyWorker(picture.makeup.memory) : undefined
    return {
      directory,
      baseName: artefactBaseName({ kind, rule, pid: where.pid, startedAtMs }),
      durationMs,
      ...(worker && { worker: { id: worker.id, name: worker.name } }),
      sidecar: {
        why: { kind, rule, details, readings },
        ...picture,
        where: { ...where, directory, startedAt: new Date(startedAtMs).toISOString() },
      },
    }
  }

  #report(request: DumpRequest, captured: Captured, durationMs: number): Dump {
    const dump = asDump(request, captured, durationMs, this.#running?.picture?.makeup)
    this.#setReported(dump)
    this.#parts.report.dump(dump)
    return dump
  }

  /** Reported once per episode, like a skip: a failure before the capture costs no token and recurs with each trip. */
  #fail(request: DumpRequest, error: unknown): DumpResult {
    const { kind } = request
    const message = messageOf(error)
    const result = { skipped: 'failed', message } as const
    this.#setReported(result)
    // File names and waiting times differ each time; without their digits the same failure has the same text.
    if (this.#isNews(request, `failed: ${message.replace(/\d+/g, '')}`))
      this.#parts.report.failure({ stage: 'capture', kind, message, error })
    return result
  }

  /** Called before the report: a listener may exit the process, which must not report this dump as skipped. */
  #setReported(result: DumpResult): void {
    if (this.#running) this.#running.reported ??= result
  }

  /** File names contain the ms of their start, so two dumps never share one. */
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
    const makeup = reason === 'memory' ? this.#running?.picture?.makeup : undefined
    if (this.#isNews(request, reason))
      this.#parts.report.skip({ kind, rule, reason, numbers, ...(makeup && { makeup }) })
    return { skipped: reason }
  }

  /** For requests of thresholds each reason is reported once per episode; for all others always. */
  #isNews(request: DumpRequest, reason: string): boolean {
    const isOfThreshold = request.rule === 'threshold' || this.#rules.has(request.rule)
    return (isOfThreshold ? this.#ruleOf(request)?.watched.rule.isNews(reason) : undefined) ?? true
  }

  /** The rule that made a request; for a request of no rule, the rule of its kind, whose budget it spends. */
  #ruleOf({ kind, rule }: DumpRequest): RuleState | undefined {
    return this.#rules.get(rule) ?? this.#rules.get(kind)
  }
}

/** The rules `cpu` and `memory` are named `threshold` in events, files and sidecars. */
function requestRule(name: string, kind: DumpKind): DumpRule {
  return name === kind ? 'threshold' : name
}

/** Running state of a rule: its latest readings, and the time since which they are above the threshold. */
class RuleState {
  readonly watched: WatchedRule
  readonly readings = new ReadingLog()
  #breachingSinceMs: number | undefined

  constructor(watched: WatchedRule) {
    this.watched = watched
  }

  observe(value: number, sinceMs: number): ThresholdVerdict & { breachingSinceMs: number | undefined } {
    const { rule } = this.watched
    if (value > rule.threshold) this.#breachingSinceMs ??= sinceMs
    else this.#breachingSinceMs = undefined
    const verdict = rule.observe(value)
    const breachingSinceMs = this.#breachingSinceMs
    if (verdict.trips) this.#breachingSinceMs = undefined
    return { ...verdict, breachingSinceMs }
  }

  interrupt(): void {
    this.#breachingSinceMs = undefined
    this.watched.rule.interrupt()
  }

  sidecarReadings(): Sidecar['why']['readings'] {
    return sidecarReadings(this.readings)
  }
}

function asDump(
  { kind, rule }: DumpRequest,
  captured: Captured,
  durationMs: number,
  makeup: Makeup | undefined,
): Dump {
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
    ...(makeup && { makeup }),
    pauseMs: tenths(pauseMs),
    durationMs: tenths(durationMs),
    ...(childPeakBytes === undefined ? {} : { childPeakBytes }),
    ...(lateMs === undefined ? {} : { lateMs }),
  }
}

/** A reading and its time, ms since 1970. */
export interface LoggedReading {
  readonly atEpochMs: number
  readonly value: number
}

/** Number of the latest readings that a dump's sidecar holds. */
export const READINGS_KEPT = 60

/** The latest readings, oldest first. */
export class ReadingLog {
  readonly #readings: LoggedReading[] = []

  add(reading: LoggedReading): void {
    this.#readings.push(reading)
    if (this.#readings.length > READINGS_KEPT) this.#readings.shift()
  }

  latest(): readonly LoggedReading[] {
    return [...this.#readings]
  }
}

/** The latest readings in the form of a sidecar, with `at` in ISO 8601. */
export function sidecarReadings(log: ReadingLog): Sidecar['why']['readings'] {
  return log.latest().map(({ atEpochMs, value }) => ({ at: new Date(atEpochMs).toISOString(), value }))
}
