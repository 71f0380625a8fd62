import type { Budget } from '../core/budget'
import { RateLimiter } from 'limiter'

/** What is left of a budget, as another thread can take it up. Times are ms of the clock that all threads share. */
export interface BudgetLeft {
  readonly spent: number
  readonly intervalStartedAtMs: number
  readonly content: number
  /** When `content` was read: it grows from then on. */
  readonly readAtMs: number
}

/** Where a budget comes from and who follows it. */
export interface BudgetStart {
  /** What an earlier thread left of it. */
  readonly left?: BudgetLeft | undefined
  /** Needed with `left`: the limiter counts on a clock that starts with its thread. */
  readonly nowMs?: number
  /** Told when a token has been taken. */
  readonly onSpent?: (() => void) | undefined
}

/**
 * The token bucket of one kind of dump.
 *
 * `tryRemoveTokens` is the call of `limiter` that never waits; its `removeTokens` queues, and a queued dump comes hours
 * after the spike that it was to explain. The interval is counted from the first dump, hence the limiter is made then.
 */
export class DumpBudget {
  readonly #budget: Budget
  readonly #onSpent: (() => void) | undefined
  #limiter: RateLimiter | undefined

  constructor(budget: Budget, { left, nowMs = 0, onSpent }: BudgetStart = {}) {
    this.#budget = budget
    this.#onSpent = onSpent
    if (left) this.#limiter = takeUp(newLimiter(budget), left, nowMs)
  }

  /** What was agreed: so many dumps in so many ms. */
  get terms(): Budget {
    return this.#budget
  }

  /** @returns `true` when a dump may be made; it is then paid for. */
  tryRemoveToken(): boolean {
    this.#limiter ??= newLimiter(this.#budget)
    const isPaid = this.#limiter.tryRemoveTokens(1)
    if (isPaid) this.#onSpent?.()
    return isPaid
  }

  /** @returns `undefined` while nothing was ever asked of it. */
  left(nowMs: number): BudgetLeft | undefined {
    const limiter = this.#limiter
    return (
      limiter && {
        spent: limiter.tokensThisInterval,
        intervalStartedAtMs: nowMs - (performance.now() - limiter.curIntervalStart),
        content: limiter.getTokensRemaining(),
        readAtMs: nowMs,
      }
    )
  }
}

function newLimiter({ tokensPerInterval, intervalMs }: Budget): RateLimiter {
  return new RateLimiter({ tokensPerInterval, interval: intervalMs })
}

function takeUp(limiter: RateLimiter, left: BudgetLeft, nowMs: number): RateLimiter {
  const ownNowMs = performance.now()
  limiter.tokensThisInterval = left.spent
  limiter.curIntervalStart = ownNowMs - (nowMs - left.intervalStartedAtMs)
  limiter.tokenBucket.content = left.content
  limiter.tokenBucket.lastDrip = ownNowMs - (nowMs - left.readAtMs)
  return limiter
}
