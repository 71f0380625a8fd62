import { firstLineOf } from '../../base/globals'
import { type Budget, DumpBudget } from '../../dispatch/budget'
import type { DumpKind, Report } from '../../dispatch/events'
import type { FleetAnswer, FleetBudget, FleetRefusal } from '../../dispatch/fleet'

/** The longest time for which a refusal, or the absence of an answer, is remembered, ms. */
export const MAX_REFUSED_MS = 300_000
export const MAX_AWAY_MS = 10_000

/** The budgets of the fleet, wherever they are kept. */
export interface Store {
  /** Rejects when there is no answer, with an error whose text can be shown. */
  take(kind: DumpKind): Promise<StoreAnswer>
  giveBack(kind: DumpKind): Promise<void>
}

export interface StoreAnswer {
  readonly isTaken: boolean
  /** Until the interval is over, ms. */
  readonly renewsInMs: number
}

export interface StoreFleetParts {
  readonly budgets: Readonly<Record<DumpKind, Budget>>
  /** Dumps per kind and interval without an answer. `undefined`: the process's own budget decides alone. */
  readonly insurance: number | undefined
  readonly store: Store
  /** The longest that a question to the store takes, ms. */
  readonly timeoutMs: number
  /** Name of the store, for lines. */
  readonly place: string
  readonly report: Pick<Report, 'failure' | 'notice'>
  readonly now: () => number
  /** From 0 up to 1. */
  readonly random: () => number
}

/**
 * Decides by a store whose answers may fail to come. A refusal is remembered for a while, and so is a missing answer: a rule that
 * stays above its threshold would ask every second, in a thousand processes.
 */
export class StoreFleet implements FleetBudget {
  readonly #parts: StoreFleetParts
  readonly #insurance: Readonly<Record<DumpKind, DumpBudget>> | undefined
  readonly #refused = new Map<DumpKind, { readonly untilMs: number; readonly renewsAtMs: number }>()
  #isAway = false
  #awayUntilMs = -Infinity

  constructor(parts: StoreFleetParts) {
    this.#parts = parts
    const { budgets, insurance } = parts
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
    if (askedAtMs < this.#awayUntilMs) return this.#insure(kind)
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

  /** Spread, so that a fleet does not ask in one moment. Shorter than the interval: a token may be given back. */
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

  /** A token of the insurance is spent, whatever becomes of its dump. */
  #insure(kind: DumpKind): FleetAnswer {
    const isAllowed = this.#insurance?.[kind].tryRemoveToken() ?? true
    return isAllowed ? { giveBack: () => undefined } : { refused: this.#uninsured(kind) }
  }

  /**
   * In the interval that it was taken from, and no later: it would count for the next one. Just before the end, or without an answer,
   * it comes back when the budget is renewed.
   */
  #giveBack(kind: DumpKind, renewsAtMs: number): void {
    const { store, now, timeoutMs } = this.#parts
    if (now() + timeoutMs < renewsAtMs) store.giveBack(kind).catch(() => undefined)
  }

  #leave(error: unknown): void {
    const { now, random, place, report, insurance } = this.#parts
    this.#awayUntilMs = now() + (MAX_AWAY_MS * (1 + random())) / 2
    if (this.#isAway) return
    this.#isAway = true
    const decides =
      insurance === undefined
        ? 'the budget of each process decides'
        : `each process makes at most ${insurance} dumps of a kind per interval`
    const message = `the budget in Redis at ${place} cannot be used: ${firstLineOf(error)}; until it can, ${decides}`
    // Without the client's error: ioredis puts the command into it, which may be AUTH with the password.
    report.failure({ stage: 'fleet', message })
  }

  #comeBack(): void {
    if (!this.#isAway) return
    this.#isAway = false
    this.#parts.report.notice(`the budget in Redis at ${this.#parts.place} is used again`)
  }
}
