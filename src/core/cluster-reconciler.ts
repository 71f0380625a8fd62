import { CrashBackoff, backoffMs, type BackoffSettings } from './cluster-backoff'
import {
  chooseCandidate,
  isHung,
  isUnreachable,
  type Candidate,
  type MemoryLimits,
} from './cluster-candidate'
import type { ClusterAction, ClusterInput, ClusterNews, CrashCause, DrainReason } from './cluster-events'
import {
  endService,
  isServing,
  missingAddresses,
  newSlot,
  sharedAddresses,
  type Slot,
  type WorkerKey,
} from './cluster-slot'
import { Vacancies } from './cluster-vacancies'

/** After a worker's own deadline the primary waits this long before it sends SIGKILL, ms. */
export const KILL_GRACE_MS = 2000

/** A worker that crashes closes its channel some ms before its 'exit', which says more. One that lives on is waited for no longer. */
export const DISCONNECT_GRACE_MS = 250

export interface ReconcilerSettings extends MemoryLimits {
  readonly count: number
  readonly killTimeoutMs: number
  readonly startTimeoutMs: number
  readonly minUptimeMs: number
  readonly minLifetimeMs: number
  readonly backoff: BackoffSettings
  /** 1: the replacement serves before the old worker drains. 0: it is forked when the old one has stopped accepting. */
  readonly maxSurge: 0 | 1
  /** What a worker has for its evidence once it has drained; 0: none is written. */
  readonly dumpDeadlineMs: number
}

/** The one replacement that is under way. */
interface Lease {
  readonly old: Slot
  readonly candidate: Candidate
  /**
   * - starting: the replacement starts, the old worker serves
   * - closing: without surge; the old worker drains but still accepts, nothing is forked yet
   * - draining: the old worker drains, the replacement has taken its place
   */
  phase: 'starting' | 'closing' | 'draining'
  readonly replacement: Slot | undefined
}

/**
 * Keeps `count` workers serving and replaces those above the limit, one at a time.
 *
 * A pure state machine: it is told what happened and what time it is, and answers with what to do. Every input ends in the
 * same `settle`, which compares what should be with what is; so it does not matter in which order a worker's 'exit' and
 * 'disconnect' arrive, or whether one of them arrives twice. `now` is monotonic ms.
 */
export class Reconciler {
  readonly #slots = new Map<WorkerKey, Slot>()
  readonly #vacancies = new Vacancies()
  readonly #crashes: CrashBackoff
  #actions: ClusterAction[] = []
  #lease: Lease | undefined
  #lastKey = 0
  #thrash = 0
  /** No replacement for the soft limit before this time: those before it came too soon. */
  #spacedUntil = -Infinity
  /** Set while a candidate waits for a time. */
  #recycleAt: number | undefined
  #unreachableTold = false
  #stopping = false
  /** After `stop` nobody is waited for longer than until then. */
  #stopBy = Infinity
  #finished = false

  constructor(
    private readonly settings: ReconcilerSettings,
    private readonly random: () => number,
  ) {
    this.#crashes = new CrashBackoff(settings.backoff, random)
  }

  /** Takes in one input. The actions are to be carried out in order. */
  step(input: ClusterInput, now: number): readonly ClusterAction[] {
    this.#actions = []
    this.#takeIn(input, now)
    this.#settle(now)
    return this.#actions
  }

  /** When `step` wants a `tick`, if nothing else happens before. */
  get wakeAt(): number | undefined {
    const times: (number | undefined)[] = [this.#recycleAt]
    if (!this.#stopping) times.push(this.#vacancies.nextAt)
    for (const slot of this.#slots.values()) times.push(this.#deadlineOf(slot))
    const pending = times.filter((time) => time !== undefined)
    return pending.length === 0 ? undefined : Math.min(...pending)
  }

  /** The workers as they are now. */
  get slots(): ReadonlyMap<WorkerKey, Readonly<Slot>> {
    return this.#slots
  }

  /** The worker that is being replaced. */
  get recycling(): WorkerKey | undefined {
    return this.#lease?.old.key
  }

  #takeIn(input: ClusterInput, now: number): void {
    switch (input.type) {
      case 'start':
      case 'tick':
        return
      case 'stop':
        return this.#stop(now)
      case 'seen':
        return this.#see(input.rssBytes)
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
        return this.#hear(input, now)
    }
  }

  #hear(input: Word, now: number): void {
    const slot = this.#slots.get(input.key)
    if (!slot) return
    slot.silentReadings = 0
    switch (input.type) {
      case 'listening':
        slot.addresses.add(input.address)
        return
      case 'shut':
        // Who drains closes everything; what it listened on until then is what its successor needs.
        if (slot.state === 'starting' || slot.state === 'ready') slot.addresses.delete(input.address)
        return
      case 'joined':
        slot.joined = true
        return
      case 'started':
        slot.announced = true
        slot.birthRssBytes = slot.rssBytes = input.rssBytes
        return
      case 'reading':
        slot.rssBytes = input.rssBytes
        if (input.rssBytes <= this.settings.limitBytes) slot.over = false
        return
      case 'over':
        return this.#noteOver(slot, input.rssBytes, now)
      case 'asked':
        slot.askedToLeave = true
        return
      case 'closed':
        return this.#close(slot, now)
      case 'drained':
        return this.#noteDrained(slot, now)
    }
  }

  /** It begins to write evidence: only from here on does it have the time for that. */
  #noteDrained(slot: Slot, now: number): void {
    if (slot.state === 'draining') {
      slot.state = 'leaving'
      slot.killAt = Math.min(this.#stopBy, now + this.settings.dumpDeadlineMs + KILL_GRACE_MS)
    }
    if (this.#lease?.old === slot) this.#lease = undefined
  }

  /** Without surge: the old worker accepts no more, so its place is free. */
  #close(old: Slot, now: number): void {
    if (this.#lease?.old !== old || this.#lease.phase !== 'closing') return
    this.#lease.phase = 'draining'
    this.#vacancies.open({ notBefore: now, expects: sharedAddresses(old, this.#ready()) })
  }

  #noteOver(slot: Slot, rssBytes: number, now: number): void {
    slot.rssBytes = rssBytes
    // What it takes while it boots may be gone when it serves; if not, its next reading says so.
    if (slot.over || slot.state !== 'ready') return
    slot.over = true
    slot.overAt = now
    this.#tell({ name: 'over', key: slot.key, rssBytes })
  }

  #see(rssBytes: ReadonlyMap<WorkerKey, number>): void {
    for (const slot of this.#slots.values()) {
      slot.silentReadings += 1
      slot.rssBytes = rssBytes.get(slot.key) ?? slot.rssBytes
    }
  }

  /** The one place that compares what should be with what is. Idempotent. */
  #settle(now: number): void {
    this.#keepDeadlines(now)
    for (const slot of this.#slots.values()) this.#makeReady(slot, now)
    if (this.#stopping) return this.#finish()
    this.#heal(now)
    this.#handOver(now)
    this.#recycle(now)
  }

  #deadlineOf(slot: Slot): number | undefined {
    if (slot.killed) return undefined
    if (slot.lostAt !== undefined) return slot.lostAt
    if (slot.state === 'starting') return slot.startBy
    if (slot.state === 'ready')
      return slot.proven ? undefined : (slot.readyAt ?? 0) + this.settings.minUptimeMs
    return slot.killAt
  }

  #keepDeadlines(now: number): void {
    for (const slot of this.#slots.values()) {
      if (slot.lostAt !== undefined && now >= slot.lostAt) this.#cutOff(slot, now)
      const deadline = this.#deadlineOf(slot)
      if (deadline === undefined || now < deadline) continue
      if (slot.state === 'ready') this.#prove(slot)
      else if (!this.#servesPartly(slot)) this.#kill(slot)
    }
  }

  #prove(slot: Slot): void {
    slot.proven = true
    this.#crashes.calm()
  }

  /** Ready but for an address that its predecessor held. Better than nobody, unless the predecessor still serves. */
  #servesPartly(slot: Slot): boolean {
    return slot.state === 'starting' && slot.announced && !slot.surge
  }

  #makeReady(slot: Slot, now: number): void {
    if (slot.state !== 'starting' || !slot.announced || slot.killed) return
    if (missingAddresses(slot).length > 0 && (slot.surge || now < slot.startBy)) return
    slot.state = 'ready'
    slot.readyAt = now
    this.#vacancies.hasten(now + this.#crashes.baseDelayMs())
    this.#tell({ name: 'ready', key: slot.key, rssBytes: slot.birthRssBytes })
    if (isUnreachable(slot, this.settings)) this.#tellUnreachable(slot)
  }

  #tellUnreachable(slot: Slot): void {
    if (this.#unreachableTold) return
    this.#unreachableTold = true
    const { limitBytes } = this.settings
    this.#tell({ name: 'limit-unreachable', key: slot.key, rssBytes: slot.birthRssBytes, limitBytes })
  }

  #lose(key: WorkerKey, cause: CrashCause, how: Exit, now: number): void {
    const slot = this.#slots.get(key)
    if (!slot) return
    this.#slots.delete(key)
    const lease = this.#lease
    if (slot.recycling) this.#tellRecycled(slot, slot.recycling, how, now)
    this.#close(slot, now)
    if (lease?.old === slot && lease.phase !== 'starting') this.#lease = undefined
    if (slot.state === 'draining' || slot.state === 'leaving') return
    this.#noteCrash(slot, cause, how, now)
    if (lease?.replacement === slot && slot.surge) this.#lease = undefined
  }

  #noteDisconnected(key: WorkerKey, now: number): void {
    const slot = this.#slots.get(key)
    if (slot?.state === 'starting' || slot?.state === 'ready') slot.lostAt = now + DISCONNECT_GRACE_MS
  }

  /** It may finish what it has, but nothing new reaches it, and no order to drain: its place is free. */
  #cutOff(slot: Slot, now: number): void {
    this.#noteCrash(slot, 'disconnect', NO_EXIT, now)
    if (this.#lease?.replacement === slot && slot.surge) this.#lease = undefined
    endService(slot, 'leaving')
    slot.killAt = now + this.settings.killTimeoutMs + KILL_GRACE_MS
  }

  #tellRecycled(
    slot: Slot,
    { reason, orderedAt, rssBytes }: NonNullable<Slot['recycling']>,
    how: Exit,
    now: number,
  ): void {
    const { code, signal } = how
    this.#tell({
      name: 'recycled',
      key: slot.key,
      reason,
      rssBytes,
      durationMs: now - orderedAt,
      code,
      signal,
    })
  }

  #noteCrash(slot: Slot, cause: CrashCause, how: Exit, now: number): void {
    const uptimeMs = slot.readyAt === undefined ? 0 : now - slot.readyAt
    const { code, signal } = how
    const timedOut = slot.state === 'starting' && slot.killed
    this.#tell({
      name: 'crash',
      key: slot.key,
      cause: timedOut ? (slot.joined ? 'start-timeout' : 'run-not-called') : cause,
      code,
      signal,
      uptimeMs,
      missing: timedOut && slot.announced ? missingAddresses(slot) : [],
    })
    const isYoung = slot.readyAt === undefined || uptimeMs < this.settings.minUptimeMs
    if (isYoung && this.#crashes.note(now)) this.#tellBackoff(now)
    if (!slot.surge) {
      const wasReady = slot.readyAt !== undefined
      const expects = wasReady ? sharedAddresses(slot, this.#ready()) : slot.expects
      this.#vacancies.open({ notBefore: isYoung ? this.#crashes.until : now, expects })
    }
  }

  #tellBackoff(now: number): void {
    this.#tell({ name: 'backoff', delayMs: this.#crashes.until - now, step: this.#crashes.step })
  }

  /** Restores capacity. A replacement that is on its way fills the first gap: the one it was for still serves. */
  #heal(now: number): void {
    let missing = this.settings.count - this.#serving()
    if (missing > 0 && this.#lease?.phase === 'starting' && this.#lease.replacement) {
      this.#lease.replacement.surge = false
      this.#lease = undefined
      missing -= 1
    }
    this.#vacancies.fit(Math.max(0, missing), now)
    for (const vacancy of this.#vacancies.takeDue(now)) this.#fork(vacancy.expects, false, now)
  }

  #serving(): number {
    let serving = this.#lease?.phase === 'closing' ? 1 : 0
    for (const slot of this.#slots.values()) if (isServing(slot)) serving += 1
    return serving
  }

  #fork(expects: ReadonlySet<string>, surge: boolean, now: number): Slot {
    const slot = newSlot(++this.#lastKey, now, {
      surge,
      expects,
      startBy: now + this.settings.startTimeoutMs,
    })
    this.#slots.set(slot.key, slot)
    this.#actions.push({ type: 'fork', key: slot.key })
    return slot
  }

  #ready(): Slot[] {
    return [...this.#slots.values()].filter((slot) => slot.state === 'ready' && !slot.surge && !slot.killed)
  }

  /** Begins the next replacement, when nothing is missing and none is under way. */
  #recycle(now: number): void {
    this.#recycleAt = undefined
    const ready = this.#ready()
    if (ready.length < this.settings.count) this.#endHung(ready)
    if (this.#lease || ready.length < this.settings.count) return
    const candidate = chooseCandidate(ready, this.settings)
    if (!candidate) return
    // A replacement that fails is a crash like any other: the next attempt waits for the same back-off.
    const retryAt = this.#crashes.until
    const notBefore = candidate.urgent ? retryAt : Math.max(retryAt, this.#spacedUntil)
    if (now < notBefore) this.#recycleAt = notBefore
    else this.#beginLease(candidate, now)
  }

  /**
   * With somebody missing, no replacement begins: a hung worker that takes the memory which those who start need would
   * be left alone for ever. It serves nobody, so nothing is lost with it.
   */
  #endHung(ready: readonly Slot[]): void {
    for (const slot of ready) {
      if (!isHung(slot, this.settings)) continue
      this.#tell({ name: 'recycle', key: slot.key, reason: 'hard-limit', rssBytes: slot.rssBytes })
      this.#kill(slot)
    }
  }

  #beginLease(candidate: Candidate, now: number): void {
    const { slot: old, reason } = candidate
    this.#tell({ name: 'recycle', key: old.key, reason, rssBytes: old.rssBytes })
    if (this.settings.maxSurge === 1) {
      const replacement = this.#fork(sharedAddresses(old, this.#ready()), true, now)
      this.#lease = { old, candidate, replacement, phase: 'starting' }
    } else {
      this.#lease = { old, candidate, replacement: undefined, phase: 'closing' }
      this.#sendAway(this.#lease, now)
    }
  }

  /** The replacement serves: now the old worker may go. */
  #handOver(now: number): void {
    const lease = this.#lease
    if (lease?.phase !== 'starting' || lease.replacement?.state !== 'ready') return
    lease.replacement.surge = false
    lease.phase = 'draining'
    this.#sendAway(lease, now)
  }

  #sendAway({ old, candidate }: Lease, now: number): void {
    const { reason } = candidate
    if (reason === 'over') this.#space(old, now)
    endService(old, 'draining')
    old.recycling = { reason, orderedAt: now, rssBytes: old.rssBytes }
    if (isHung(old, this.settings)) this.#kill(old)
    else this.#drain(old, reason, now)
  }

  #drain(slot: Slot, reason: DrainReason, now: number): void {
    slot.killAt = now + this.settings.killTimeoutMs + KILL_GRACE_MS
    this.#actions.push({ type: 'drain', key: slot.key, reason })
  }

  #kill(slot: Slot): void {
    slot.killed = true
    this.#actions.push({ type: 'kill', key: slot.key })
  }

  /** Workers that are over the limit again soon after their birth: replacing them faster would not help. */
  #space(old: Slot, now: number): void {
    const lifetimeMs = (old.overAt ?? now) - (old.readyAt ?? now)
    this.#thrash = lifetimeMs < this.settings.minLifetimeMs ? this.#thrash + 1 : 0
    const delayMs = backoffMs(this.#thrash, this.settings.backoff, this.random)
    this.#spacedUntil = now + delayMs
    if (this.#thrash > 0) this.#tell({ name: 'thrash', key: old.key, lifetimeMs, delayMs })
  }

  #stop(now: number): void {
    if (this.#stopping) return
    this.#stopping = true
    this.#lease = undefined
    this.#recycleAt = undefined
    this.#stopBy = now + this.settings.killTimeoutMs + KILL_GRACE_MS
    for (const slot of this.#slots.values()) {
      if (slot.state === 'leaving') slot.killAt = Math.min(this.#stopBy, slot.killAt ?? Infinity)
      if (slot.state === 'draining' || slot.state === 'leaving') continue
      endService(slot, 'draining')
      this.#drain(slot, 'stop', now)
    }
  }

  #finish(): void {
    if (this.#finished || this.#slots.size > 0) return
    this.#finished = true
    this.#actions.push({ type: 'finished' })
  }

  #tell(news: ClusterNews): void {
    this.#actions.push({ type: 'report', news })
  }
}

const NO_EXIT = { code: null, signal: null } as const

/** How a process ended. */
type Exit = Pick<Extract<ClusterInput, { type: 'exit' }>, 'code' | 'signal'>

/** What a worker says, or what is said of it while it lives. */
type Word = Extract<
  ClusterInput,
  { type: 'listening' | 'shut' | 'joined' | 'started' | 'reading' | 'over' | 'asked' | 'closed' | 'drained' }
>
