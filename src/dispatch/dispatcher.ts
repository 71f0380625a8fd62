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

/** Interval, ms, at which a manual dump tries again to begin while another copy of the package makes a dump. */
export const GATE_RETRY_MS = 100

/** Parts with which the dispatcher makes one kind of dump: CPU profiles or heap snapshots. */
export interface KindParts {
  readonly capturer: Capturer
  readonly directory: string
  readonly takeTurn?: DumpOnce<never>['takeTurn']
}

/** One rule: its readings are compared with a threshold and can trigger dumps of one kind, within a budget. */
export interface WatchedRule {
  /** `cpu`, `memory`, or the name that the user gave. */
  readonly name: string
  readonly kind: DumpKind
  /**
   * The quantity that the rule reads. The sidecar (JSON file of the dump) names it, so that its readings have a unit.
   *
   * @default none is written
   */
  readonly metric?: string | undefined
  readonly rule: ThresholdRule
  readonly budget: DumpBudget
}

export interface DispatcherParts {
  readonly cpu: KindParts
  readonly memory: KindParts
  /** All rules: `cpu` and `memory`, if those are watched, and the rules of the option `rules`. */
  readonly rules: readonly WatchedRule[]
  readonly gate: Gate
  /** A budget that many processes share (option `fleet`). @default none */
  readonly fleet?: FleetBudget | undefined
  readonly clock: Clock
  readonly report: Report
  /** Length of a CPU profile when the request names none, ms. */
  readonly profileDurationMs: number
  /** Describes process and machine in the sidecar of each dump. */
  readonly where: Omit<Sidecar['where'], 'directory' | 'startedAt'>
  /** Deletes the oldest dumps (option `keep`) in a directory after a new dump, whose main file is `made`. Does not reject. */
  readonly retain: (directory: string, made: string) => Promise<void>
  /**
   * Describes the process for the sidecar: its CPU use since the monotonic time `sinceMs` (by default the last seconds), and its
   * memory now. Called when a dump begins, before it is decided whether it is made. Aborting `early` ends it with what is known
   * by then. Does not reject.
   *
   * @default no description
   */
  readonly picture?: ((sinceMs: number | undefined, early: AbortSignal) => Promise<Picture>) | undefined
  /** Called with `true` when a dump begins, and with `false` when it has ended, whatever its outcome. */
  readonly onRunning?: ((isRunning: boolean) => void) | undefined
}

/**
 * Decides whether a requested dump is made, and makes it. Holds rules, gate, budgets and waiting manual requests. It can run on
 * any thread.
 *
 * A request passes these steps: gate (one dump at a time) → room (free disk and memory) → fleet (budget shared by
 * processes) → limiter (budget of the rule) → capture. A request whose budget is spent is refused before the gate. A
 * dump that is skipped before the capture costs no token. A failed capture costs a token of the rule's budget and none of
 * the fleet's. A manual request skips the steps fleet and limiter, so it costs no token, and waits while another dump runs.
 */
export class Dispatcher {
  readonly #parts: DispatcherParts
  readonly #rules: ReadonlyMap<string, RuleState>
  readonly #waiting: WaitingRequest[] = []
  #isStopped = false
  #endQuestions: () => void = () => undefined
  /** Resolves when the dispatcher is stopped: a dump then no longer waits for an answer from the budget shared by processes. */
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
   * @param sinceMs - Monotonic time, ms, at which the time span of the reading began. CPU use is a mean over a span. Memory is
   * read at one moment, which is then `sinceMs`.
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
    if (endsEpisode) report.notice(`${name} is back at or below its threshold`)
    if (!trips) return
    const numbers = { threshold: rule.threshold, counter: rule.counter, reading: value }
    const details = { ...numbers, ...(metric !== undefined && { metric }) }
    void this.request({ kind, rule: requestRule(name, kind), details, sinceMs: breachingSinceMs })
  }

  /** Makes a dump. Resolves to the dump, or to the reason why there is none. Never rejects. */
  request(given: DumpRequest): Promise<DumpResult> {
    const request = ownOnly(given)
    if (this.#isStopped) return Promise.resolve(this.#skip(request, 'stopped'))
    if (request.rule === 'manual') return this.#queue(request)
    // Budgets are checked before the gate (lock for dumps) is entered, because no reading counts while a request holds the gate.
    const budget = this.#ruleOf(request)?.watched.budget
    if (budget?.isSpent) return Promise.resolve(this.#skip(request, 'limited', { ...budget.terms }))
    const refused = this.#parts.fleet?.refusal(request.kind)
    if (refused) return Promise.resolve(this.#skip(request, 'fleet', refused))
    if (!this.#parts.gate.enter(request.kind)) return Promise.resolve(this.#skip(request, 'busy'))
    return this.#run(request)
  }

  /** Ends a running CPU profile early, refuses waiting requests, and resolves when the last dump is complete. Idempotent. */
  async stop(): Promise<void> {
    this.#isStopped = true
    this.#endQuestions()
    this.#running?.early.abort()
    this.#refuseWaiting()
    await this.#running?.done
  }

  /**
   * Ends the running dump when the process exits. Uses no promises, because the event loop of the exiting thread has stopped. A
   * capture that can be ended early is completed before the call returns, and reported as a dump. Any other capture, and
   * all waiting requests, are reported as skipped. Never throws.
   *
   * @param isTimeOver - Once it returns `true`, the capture is abandoned and leaves an unfinished `.partial` file.
   * @param goesOnAlone - Whether a forked child completes the dump without this process. If so, the dump is not reported as
   * skipped.
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

  /** Lets a manual request wait for its dump. Requests of one kind that wait at the same time get the same dump. */
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

  /** Starts a dump. The caller has entered the gate (lock for one dump at a time), and the end of the dump leaves it. */
  #run(request: DumpRequest): Promise<DumpResult> {
    const early = new AbortController()
    const unknown = { done: undefined, reported: undefined, picture: undefined, giveBack: undefined }
    const running: RunningDump = { request, early, ...unknown }
    this.#running = running
    return (running.done = this.#attempt(running))
  }

  /** Makes the dump. Never rejects, and leaves the gate (lock for dumps) in every case. */
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
      // Cleared first: once the gate is free, the next dump sets this field.
      this.#running = undefined
      gate.leave(isCaptured ? clock.monotonicMs() + SETTLING_MS : undefined)
      onRunning?.(false)
      this.#serveNext()
    }
  }

  /**
   * Takes the tokens for a dump for which there is enough memory and disk.
   *
   * @returns The reported reason if the dump must not be made: a budget is spent, or the monitor was stopped.
   */
  async #decline(running: RunningDump): Promise<DumpResult | undefined> {
    const { request } = running
    const budget = this.#ruleOf(request)?.watched.budget
    const { fleet } = this.#parts
    if (this.#isStopped) return this.#skip(request, 'stopped')
    if (request.rule === 'manual') return undefined
    if (fleet && budget?.isSpent === false) {
      const question = fleet.take(request.kind)
      const answer = await Promise.race([question, this.#stopped])
      // `endNow` has reported the outcome at exit, or the monitor was stopped: a token that comes later is given back.
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
    // Leaks are searched for only in the heap of the main thread, so the snapshot of a leak is never that of a worker thread.
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

  /**
   * Reports a failed dump. For a rule, the same failure is reported once per episode (time above the threshold): a failure
   * before the capture costs no token, so it can recur every few readings.
   */
  #fail(request: DumpRequest, error: unknown): DumpResult {
    const { kind } = request
    const message = messageOf(error)
    const result = { skipped: 'failed', message } as const
    this.#setReported(result)
    // File names and waiting times in a message differ each time. Without digits the same failure has the same text.
    if (this.#isNews(request, `failed: ${message.replace(/\d+/g, '')}`))
      this.#parts.report.failure({ stage: 'capture', kind, message, error })
    return result
  }

  /** Stores the outcome of a dump, before listeners run: if one exits the process, `endNow` must not report a second outcome. */
  #setReported(result: DumpResult): void {
    if (this.#running) this.#running.reported ??= result
  }

  /**
   * Returns the time now, ms since 1970, or the first later time that it has not returned yet: file names contain the time, and
   * must differ from dump to dump.
   */
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

  /**
   * Whether an outcome is to be reported. For a rule, each reason is reported once per episode (time above the
   * threshold). For other requests, such as manual ones, each outcome is reported.
   */
  #isNews(request: DumpRequest, reason: string): boolean {
    const isOfThreshold = request.rule === 'threshold' || this.#rules.has(request.rule)
    return (isOfThreshold ? this.#ruleOf(request)?.watched.rule.isNews(reason) : undefined) ?? true
  }

  /**
   * Returns the rule that made the request. For any other request, such as that of a leak, returns the rule `cpu` or `memory`,
   * according to the kind of the dump: such a request spends the budget of that rule.
   */
  #ruleOf({ kind, rule }: DumpRequest): RuleState | undefined {
    return this.#rules.get(rule) ?? this.#rules.get(kind)
  }
}

/** Returns the name of a rule for events and files: the rules `cpu` and `memory` are named `threshold` there. */
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

/** Maximum number of readings that a dump's sidecar holds: the latest ones. */
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

/** Converts readings to the form of the sidecar (JSON file of a dump), with `at` in ISO 8601. */
export function sidecarReadings(log: ReadingLog): Sidecar['why']['readings'] {
  return log.latest().map(({ atEpochMs, value }) => ({ at: new Date(atEpochMs).toISOString(), value }))
}
