import { firstLineOf } from '../../base/globals'
import { type Budget, DumpBudget } from '../../dispatch/budget'
import type { DumpKind, Report } from '../../dispatch/events'
import type { FleetAnswer, FleetBudget, FleetRefusal } from '../../dispatch/fleet'

/** Longest time after a refusal in which this process does not ask Redis again for a dump of the same kind, ms. */
export const MAX_REFUSED_MS = 300_000
/** Longest time after a request without an answer in which this process does not ask Redis again, ms. */
export const MAX_AWAY_MS = 10_000

/** A store, such as Redis, of the dump budgets that all processes of a service share. */
export interface Store {
  /**
   * Takes one token (the right to make one dump) from the budget for dumps of this kind. Rejects when the store does not answer;
   * the text of the error contains no secret.
   */
  take(kind: DumpKind): Promise<StoreAnswer>
  giveBack(kind: DumpKind): Promise<void>
}

export interface StoreAnswer {
  readonly isTaken: boolean
  /** Time until the interval is over and the budget is full again, ms. */
  readonly renewsInMs: number
}

export interface StoreFleetParts {
  readonly budgets: Readonly<Record<DumpKind, Budget>>
  /**
   * Number of dumps of each kind that this process may make per interval while the store does not answer. `undefined`: then only
   * the process's own `limiter` limits them.
   */
  readonly insurance: number | undefined
  /** `undefined`: this process never asks a store, and decides as if the store did not answer. */
  readonly store: Store | undefined
  /** Time limit of each request to the store, ms. */
  readonly timeoutMs: number
  /** Host and port of the store, for log lines. */
  readonly place: string
  readonly report: Pick<Report, 'failure' | 'notice'>
  readonly now: () => number
  /** Returns a random number from 0 up to, but not including, 1. */
  readonly random: () => number
}

/**
 * Asks a store whether a dump is within the shared budget, and decides without the store while that does not answer. After a
 * refusal or a missing answer it asks nothing for some time. Otherwise each process of a service, perhaps a thousand, would ask
 * every second while its readings are above a threshold.
 */
export class StoreFleet implements FleetBudget {
  readonly #parts: StoreFleetParts
  readonly #insurance: Readonly<Record<DumpKind, DumpBudget>> | undefined
  readonly #refused = new Map<DumpKind, { readonly untilMs: number; readonly renewsAtMs: number }>()
  #isAway = false
  #awayUntilMs = -Infinity

  constructor(parts: StoreFleetParts) {
    this.#parts = parts
    const { budgets, insurance, store } = parts
    if (!store) this.#cutOff()
    const insured = ({ intervalMs }: Budget) =>
      new DumpBudget({ tokensPerInterval: insurance ?? 0, intervalMs })
    if (insurance !== undefined)
      this.#insurance = { cpu: insured(budgets.cpu), memory: insured(budgets.memory) }
  }

  refusal(kind: DumpKind): FleetRefusal | undefined {
    const { budgets, now } = this.#parts
    if (budgets[kind].tokensPerInterval < 1) return { ...budgets[kind] }
    const nowMs = now()
    const refused = this.#refused.get(kind)
    if (refused && nowMs < refused.untilMs) return this.#refuse(kind, refused.renewsAtMs - nowMs)
    return nowMs < this.#awayUntilMs && this.#insurance?.[kind].isSpent ? this.#uninsured(kind) : undefined
  }

  async take(kind: DumpKind): Promise<FleetAnswer> {
    const { store, now } = this.#parts
    const askedAtMs = now()
    if (!store || askedAtMs < this.#awayUntilMs) return this.#insure(kind)
    let answer: StoreAnswer
    try {
      answer = await store.take(kind)
    } catch (error) {
      this.#leave(error)
      return this.#insure(kind)
    }
    this.#comeBack()
    const { isTaken, renewsInMs } = answer
    const renewsAtMs = askedAtMs + renewsInMs
    if (isTaken) return { giveBack: () => this.#giveBack(kind, renewsAtMs) }
    this.#refused.set(kind, { untilMs: now() + this.#refusedForMs(kind, renewsInMs), renewsAtMs })
    return { refused: this.#refuse(kind, renewsAtMs - now()) }
  }

  /**
   * Returns the time until this process may ask again after a refusal, ms. The time is random, so that not all processes ask at
   * once. It is at most {@link MAX_REFUSED_MS}, because another process may give a token back before the interval is over.
   */
  #refusedForMs(kind: DumpKind, renewsInMs: number): number {
    const { budgets, random } = this.#parts
    const spread = random()
    const afterRenewalMs = renewsInMs + (spread * budgets[kind].intervalMs) / 20
    return Math.min(afterRenewalMs, (MAX_REFUSED_MS * (1 + spread)) / 2)
  }

  #refuse(kind: DumpKind, renewsInMs: number): FleetRefusal {
    return { ...this.#parts.budgets[kind], renewsInMs: Math.max(0, Math.round(renewsInMs)) }
  }

  #uninsured(kind: DumpKind): FleetRefusal {
    const { budgets, insurance = 0 } = this.#parts
    return { insurance, intervalMs: budgets[kind].intervalMs }
  }

  /**
   * Decides without the store: by the `insurance` budget, or, without one, by allowing the dump. A token of `insurance` stays
   * spent even if the dump is not made afterwards.
   */
  #insure(kind: DumpKind): FleetAnswer {
    const isAllowed = this.#insurance?.[kind].tryRemoveToken() ?? true
    return isAllowed ? { giveBack: () => undefined } : { refused: this.#uninsured(kind) }
  }

  /**
   * Gives a token back, but only within the interval in which it was taken: later it would add to the next interval's budget. The
   * token is not given back if the interval ends within `timeoutMs` or the store does not answer. The next interval renews it.
   */
  #giveBack(kind: DumpKind, renewsAtMs: number): void {
    const { store, now, timeoutMs } = this.#parts
    if (now() + timeoutMs < renewsAtMs) store?.giveBack(kind).catch(() => undefined)
  }

  #leave(error: unknown): void {
    const { now, random, insurance } = this.#parts
    this.#awayUntilMs = now() + (MAX_AWAY_MS * (1 + random())) / 2
    if (this.#isAway) return
    this.#isAway = true
    const decides =
      insurance === undefined
        ? 'only the own limiter of each process limits its dumps'
        : `each process makes at most ${insurance} dumps of each kind per interval`
    this.#fail(`cannot be used: ${firstLineOf(error)}; until it can, ${decides}`)
  }

  /** Reports that this process will never ask a store, and makes it decide without one from now on. */
  #cutOff(): void {
    this.#awayUntilMs = Infinity
    const { insurance } = this.#parts
    const decides =
      insurance === undefined
        ? 'only the own limiter of this process limits its dumps'
        : `this process makes at most ${insurance} dumps of each kind per interval`
    this.#fail(
      'is no longer asked by this process, because the thread that asked it has ended, perhaps because of an answer of Redis; ' +
        `from now on ${decides}`,
    )
  }

  /**
   * Reports a failure of the shared budget, without the client's error object: ioredis puts the failed command into that object,
   * which may be AUTH with the password.
   */
  #fail(what: string): void {
    const { place, report } = this.#parts
    report.failure({ stage: 'fleet', message: `the shared dump budget in Redis at ${place} ${what}` })
  }

  #comeBack(): void {
    if (!this.#isAway) return
    this.#isAway = false
    this.#parts.report.notice(`the shared dump budget in Redis at ${this.#parts.place} is used again`)
  }
}
