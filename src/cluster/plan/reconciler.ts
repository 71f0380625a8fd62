import { CrashBackoff } from './backoff'
import { isUnreachable } from './candidate'
import type { ClusterAction, ClusterInput, CrashCause, WorkerKey } from './events'
import { Replacement, type ReplacementSettings } from './replacement'
import { KILL_GRACE_MS, Roster, type RosterSettings, Vacancies } from './roster'
import {
  type HoldingSlot,
  isHolding,
  missingAddresses,
  type OutgoingSlot,
  outgoingSlot,
  type ReadySlot,
  readySlot,
  type Recycling,
  sharedAddresses,
  type Slot,
  type StartingSlot,
} from './slot'

/** Time in which a worker must exit after its channel has closed, ms. A worker that has not exited by then counts as lost. */
export const DISCONNECT_GRACE_MS = 250

export interface ReconcilerSettings extends ReplacementSettings, RosterSettings {
  readonly minUptimeMs: number
  /** Time that a worker has to write its dump after it has drained, ms; 0: no dump is written. */
  readonly dumpDeadlineMs: number
}

/**
 * Keeps `count` workers serving and replaces those that are above the limit or ask to leave, one at a time.
 *
 *     fork → starting ── runFunc settled, listens where expected ──→ ready
 *               │                                                      │
 *               │ startTimeout: SIGKILL                                │ its replacement is ready (maxSurge 0: at once)
 *               │                                                      ↓
 *               │                leaving ←── drained, writes a dump ── draining
 *               │                   │                                  │
 *               │                   │ not ended in time: SIGKILL       │ not ended in time: SIGKILL
 *               │                   │                                  │
 *               └─────── exit ──────┴────────────── exit ──────────────┴──→ gone
 *
 *     starting, ready ── stop ──→ draining
 *     starting, ready ── channel closed, and no exit within the grace ──→ leaving
 *     ready, hung and above the hard limit ── SIGKILL, exit ──→ gone
 *     starting, ready ── exit ──→ gone: a crash; a successor is forked, at once or after a back-off
 *
 * A pure state machine: its inputs are events and the time, its outputs are actions. After every input, `#settle` compares
 * the wanted number and state of the workers with the actual ones. So it does not matter in which order a worker's 'exit' and
 * 'disconnect' arrive, or whether one of them arrives twice. `now` is monotonic ms.
 */
export class Reconciler {
  readonly #roster: Roster
  readonly #replacement: Replacement
  readonly #vacancies = new Vacancies()
  readonly #crashes: CrashBackoff
  #isUnreachableReported = false
  #isStopping = false
  /** After `stop`: the time at which workers that still exist get SIGKILL, monotonic ms. */
  #stopBy = Infinity
  #isFinished = false

  constructor(
    private readonly settings: ReconcilerSettings,
    random: () => number,
  ) {
    this.#roster = new Roster(settings)
    this.#replacement = new Replacement(settings, this.#roster, random)
    this.#crashes = new CrashBackoff(settings.backoff, random)
  }

  /** Processes one input. Returns the actions to execute, in order. */
  step(input: ClusterInput, now: number): readonly ClusterAction[] {
    this.#takeIn(input, now)
    this.#settle(now)
    return this.#roster.takeActions()
  }

  /** Time at which `step` must get the input `tick`, monotonic ms; `undefined`: at no time. Each input may change it. */
  get wakeAt(): number | undefined {
    const times: (number | undefined)[] = [this.#replacement.wakeAt]
    if (!this.#isStopping) times.push(this.#vacancies.nextAt)
    for (const slot of this.#roster.slots.values()) times.push(deadlineOf(slot))
    const pending = times.filter((time) => time !== undefined)
    return pending.length === 0 ? undefined : Math.min(...pending)
  }

  /** The workers as they are now. */
  get slots(): ReadonlyMap<WorkerKey, Readonly<Slot>> {
    return this.#roster.slots
  }

  /** Key of the replacement that is starting, while the worker to be replaced still serves. */
  get standIn(): WorkerKey | undefined {
    return this.#replacement.standIn
  }

  #takeIn(input: ClusterInput, now: number): void {
    switch (input.type) {
      case 'start':
      case 'tick':
        return
      case 'stop':
        return this.#stop(now)
      case 'seen':
        return this.#takeReadings(input.rssBytes)
      case 'exit':
        return this.#lose(input.key, 'exit', input, now)
      case 'disconnected':
        return this.#noteDisconnected(input.key, now)
      case 'fork-failed':
        return this.#lose(input.key, 'fork-failed', NO_EXIT, now)
      case 'listening':
      case 'shut':
      case 'joined':
      case 'started':
      case 'reading':
      case 'over':
      case 'asked':
      case 'closed':
      case 'drained':
        return this.#takeFromWorker(input, now)
    }
  }

  #takeFromWorker(input: WorkerInput, now: number): void {
    const slot = this.#roster.slots.get(input.key)
    if (!slot) return
    // Messages from a worker that was sent SIGKILL while starting come too late to change the reported cause of its loss.
    if (slot.state === 'starting' && slot.killed) return
    slot.silentReadings = 0
    if ('rssBytes' in input) slot.rssBytes = input.rssBytes
    switch (input.type) {
      case 'listening':
        slot.addresses.add(input.address)
        return
      case 'shut':
        // A draining worker stops listening on all addresses. They stay recorded, because its successor must listen on them.
        if (isHolding(slot)) slot.addresses.delete(input.address)
        return
      case 'joined':
        if (slot.state === 'starting') slot.joined = true
        // An order to drain that was sent before the worker called `run` was lost, so it is repeated. The reason is always
        // 'stop': nothing else drains a worker that is not ready.
        else if (slot.state === 'draining') this.#roster.order(slot.key, 'stop')
        return
      case 'started':
        if (slot.state === 'starting') slot.startedRssBytes = input.rssBytes
        return
      case 'reading':
        if (slot.state === 'ready' && input.rssBytes <= this.settings.limitBytes) slot.overAt = undefined
        return
      case 'over':
        // A starting worker may use less memory once it serves, so its 'over' is ignored. A worker that stays above the limit
        // sends 'over' again after its next reading.
        if (slot.state === 'ready') this.#noteOver(slot, now)
        return
      case 'asked':
        if (isHolding(slot)) slot.askedToLeave = true
        return
      case 'closed':
        return this.#noteClosed(slot, now)
      case 'drained':
        if (slot.state === 'draining') this.#noteDrained(slot, now)
        return
    }
  }

  #noteOver(slot: ReadySlot, now: number): void {
    if (slot.overAt !== undefined) return
    slot.overAt = now
    this.#roster.report({ name: 'over', key: slot.key, rssBytes: slot.rssBytes })
  }

  #noteClosed(slot: Slot, now: number): void {
    const expects = this.#replacement.close(slot)
    if (expects) this.#vacancies.open({ notBefore: now, expects })
  }

  /** Notes that a worker starts writing its dump; the dump deadline counts from here. */
  #noteDrained(slot: OutgoingSlot, now: number): void {
    const killAt = Math.min(this.#stopBy, now + this.settings.dumpDeadlineMs + KILL_GRACE_MS)
    this.#roster.put(outgoingSlot(slot, 'leaving', killAt, slot.recycling))
    this.#replacement.freeAfter(slot.key)
  }

  #takeReadings(rssBytes: ReadonlyMap<WorkerKey, number>): void {
    for (const slot of this.#roster.slots.values()) {
      slot.silentReadings += 1
      slot.rssBytes = rssBytes.get(slot.key) ?? slot.rssBytes
    }
  }

  /** Compares the wanted number and state of workers with the actual ones, and adds the actions that are needed. Idempotent. */
  #settle(now: number): void {
    this.#keepDeadlines(now)
    for (const slot of this.#roster.slots.values()) if (slot.state === 'starting') this.#makeReady(slot, now)
    if (this.#isStopping) return this.#finish()
    this.#heal(now)
    this.#replacement.handOver(now)
    this.#replacement.begin(this.#crashes.until, now)
  }

  #keepDeadlines(now: number): void {
    for (const slot of this.#roster.slots.values()) {
      if (isHolding(slot) && now >= (slot.lostAt ?? Infinity)) this.#cutOff(slot, now)
      else if (now >= (deadlineOf(slot) ?? Infinity)) this.#keepDeadline(slot)
    }
  }

  #keepDeadline(slot: Slot): void {
    if (slot.state === 'ready') {
      slot.proveAt = undefined
      this.#crashes.calm()
    } else if (!this.#mayServe(slot)) this.#roster.kill(slot)
  }

  /**
   * Whether a worker that is not ready in time is kept although it does not listen on all addresses of its predecessor. If
   * its `runFunc` has settled, such a worker is better than none, unless the predecessor still serves.
   */
  #mayServe(slot: Slot): boolean {
    if (slot.state !== 'starting' || slot.startedRssBytes === undefined) return false
    return slot.key !== this.standIn || missingAddresses(slot).length === 0
  }

  #makeReady(slot: StartingSlot, now: number): void {
    if (slot.startedRssBytes === undefined || slot.killed) return
    const mayBePartial = slot.key !== this.standIn && now >= slot.startBy
    if (missingAddresses(slot).length > 0 && !mayBePartial) return
    const ready = readySlot(slot, now, this.settings.minUptimeMs)
    this.#roster.put(ready)
    this.#vacancies.hasten(now + this.#crashes.baseDelayMs())
    const { key, birthRssBytes: rssBytes } = ready
    this.#roster.report({ name: 'ready', key, rssBytes })
    if (isUnreachable(ready, this.settings)) this.#reportUnreachable(key, rssBytes)
  }

  #reportUnreachable(key: WorkerKey, rssBytes: number): void {
    if (this.#isUnreachableReported) return
    this.#isUnreachableReported = true
    const { limitBytes } = this.settings
    this.#roster.report({ name: 'limit-unreachable', key, rssBytes, limitBytes })
  }

  #lose(key: WorkerKey, cause: CrashCause, how: Exit, now: number): void {
    const slot = this.#roster.slots.get(key)
    if (!slot) return
    this.#roster.remove(key)
    if (isHolding(slot)) return this.#noteCrash(slot, cause, how, now)
    if (slot.recycling) this.#reportRecycled(key, slot.recycling, how, now)
    this.#noteClosed(slot, now)
    this.#replacement.freeAfter(key)
  }

  #noteDisconnected(key: WorkerKey, now: number): void {
    const slot = this.#roster.slots.get(key)
    if (slot && isHolding(slot)) slot.lostAt = now + DISCONNECT_GRACE_MS
  }

  /**
   * Counts a worker with a closed channel as lost. It may finish its work, but gets no new connections, so another worker
   * is forked.
   */
  #cutOff(slot: HoldingSlot, now: number): void {
    this.#noteCrash(slot, 'disconnect', NO_EXIT, now)
    this.#roster.retire(slot, 'leaving', now)
  }

  #reportRecycled(
    key: WorkerKey,
    { reason, orderedAt, rssBytes }: Recycling,
    { code, signal }: Exit,
    now: number,
  ): void {
    const durationMs = now - orderedAt
    this.#roster.report({ name: 'recycled', key, reason, rssBytes, durationMs, code, signal })
  }

  /**
   * Reports a lost worker, and plans its successor. A replacement that was still starting gets no successor, because the
   * worker that it was to replace still serves.
   */
  #noteCrash(slot: HoldingSlot, cause: CrashCause, { code, signal }: Exit, now: number): void {
    const uptimeMs = slot.state === 'ready' ? now - slot.readyAt : 0
    this.#roster.report({ name: 'crash', key: slot.key, ...lossOf(slot, cause), code, signal, uptimeMs })
    const isYoung = slot.state === 'starting' || uptimeMs < this.settings.minUptimeMs
    if (isYoung && this.#crashes.note(now)) this.#reportBackoff(now)
    if (slot.key === this.standIn) return this.#replacement.failWith(slot.key)
    const expects = slot.state === 'ready' ? sharedAddresses(slot, this.#roster.ready()) : slot.expects
    this.#vacancies.open({ notBefore: isYoung ? this.#crashes.until : now, expects })
  }

  #reportBackoff(now: number): void {
    const { until, step } = this.#crashes
    this.#roster.report({ name: 'backoff', delayMs: until - now, step })
  }

  /**
   * Forks the missing workers whose delay is over. If a replacement is starting, it takes the place of one missing worker, and
   * the worker that it was to replace stays in service.
   */
  #heal(now: number): void {
    let missing = this.settings.count - (this.#roster.holding() - this.#replacement.surplus)
    if (missing > 0 && this.#replacement.fillGap()) missing -= 1
    this.#vacancies.fit(Math.max(0, missing), now)
    for (const vacancy of this.#vacancies.takeDue(now)) this.#roster.fork(vacancy.expects, now)
  }

  #stop(now: number): void {
    if (this.#isStopping) return
    this.#isStopping = true
    this.#replacement.stop()
    this.#stopBy = now + this.settings.killTimeoutMs + KILL_GRACE_MS
    for (const slot of this.#roster.slots.values()) {
      if (isHolding(slot)) this.#roster.drain(slot, 'stop', now)
      else if (slot.state === 'leaving') slot.killAt = Math.min(this.#stopBy, slot.killAt)
    }
  }

  #finish(): void {
    if (this.#isFinished || this.#roster.slots.size > 0) return
    this.#isFinished = true
    this.#roster.finish()
  }
}

const NO_EXIT = { code: null, signal: null } as const

/** Exit code and signal of a process. */
type Exit = Pick<Extract<ClusterInput, { type: 'exit' }>, 'code' | 'signal'>

/** Inputs that come from a worker's messages. */
type WorkerInput = Extract<
  ClusterInput,
  {
    type: 'listening' | 'shut' | 'joined' | 'started' | 'reading' | 'over' | 'asked' | 'closed' | 'drained'
  }
>

/**
 * Time of the worker's next deadline, monotonic ms; `undefined` for none. Then the worker is killed or counts as lost; for a
 * ready worker that has lived long enough, the count of crashes in a row is reset.
 */
function deadlineOf(slot: Slot): number | undefined {
  if (slot.killed) return undefined
  if (slot.state === 'starting') return slot.lostAt ?? slot.startBy
  return slot.state === 'ready' ? (slot.lostAt ?? slot.proveAt) : slot.killAt
}

/**
 * Returns why a worker was lost. If the primary killed it because it was not ready in time, that is the cause, whatever its exit
 * code: `start-timeout`, or `run-not-called` if it never called `run`.
 */
function lossOf(slot: HoldingSlot, cause: CrashCause): { cause: CrashCause; missing: readonly string[] } {
  if (slot.state === 'ready' || !slot.killed) return { cause, missing: [] }
  if (!slot.joined) return { cause: 'run-not-called', missing: [] }
  return { cause: 'start-timeout', missing: slot.startedRssBytes === undefined ? [] : missingAddresses(slot) }
}
