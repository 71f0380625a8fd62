import { RateLimiter } from 'limiter'

/** At most `tokensPerInterval` dumps per interval. */
export interface Budget {
  readonly tokensPerInterval: number
  readonly intervalMs: number
}

/** What is left of a budget, as another thread can take it up. Ages, not times: clocks differ between threads. */
export interface BudgetLeft {
  readonly spent: number
  readonly intervalAgeMs: number
  readonly content: number
}

/**
 * The token bucket of one kind of dump.
 *
 * `tryRemoveTokens` is the call of `limiter` that never waits; its `removeTokens` queues, and a queued dump comes hours
 * after the spike that it was to explain. The interval is counted from the first dump, hence the limiter is made then.
 */
export class DumpBudget {
  readonly #budget: Budget
  #limiter: RateLimiter | undefined

  /** @param left - What an earlier thread left of the budget. */
  constructor(budget: Budget, left?: BudgetLeft) {
    this.#budget = budget
    if (left) this.#limiter = takeUp(newLimiter(budget), left)
  }

  /** @returns `true` when a dump may be made; it is then paid for. */
  tryRemoveToken(): boolean {
    this.#limiter ??= newLimiter(this.#budget)
    return this.#limiter.tryRemoveTokens(1)
  }

  /** @returns `undefined` while nothing was ever asked of it. */
  left(): BudgetLeft | undefined {
    const limiter = this.#limiter
    return (
      limiter && {
        spent: limiter.tokensThisInterval,
        intervalAgeMs: performance.now() - limiter.curIntervalStart,
        content: limiter.getTokensRemaining(),
      }
    )
  }
}

function newLimiter({ tokensPerInterval, intervalMs }: Budget): RateLimiter {
  return new RateLimiter({ tokensPerInterval, interval: intervalMs })
}

function takeUp(limiter: RateLimiter, left: BudgetLeft): RateLimiter {
  limiter.tokensThisInterval = left.spent
  limiter.curIntervalStart -= left.intervalAgeMs
  limiter.tokenBucket.content = left.content
  return limiter
}
