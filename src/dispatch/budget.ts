import { RateLimiter } from 'limiter'

/** A budget of dumps: at most `tokensPerInterval` dumps per `intervalMs`. */
export interface Budget {
  readonly tokensPerInterval: number
  readonly intervalMs: number
}

/**
 * The token bucket of one kind of dump.
 *
 * `tryRemoveTokens` is the call of `limiter` that never waits; its `removeTokens` queues, and a queued dump comes hours after
 * the spike that it was to explain. The interval is counted from the first dump, so the limiter is created then.
 */
export class DumpBudget {
  readonly terms: Budget
  #limiter: RateLimiter | undefined

  constructor(terms: Budget) {
    this.terms = terms
  }

  /** Whether {@link tryRemoveToken} would fail now. Spends nothing. */
  get isSpent(): boolean {
    return this.terms.tokensPerInterval < 1 || (this.#limiter?.getWaitTime(1) ?? 0) > 0
  }

  /** @returns `true` when a dump may be made; its token is then spent. */
  tryRemoveToken(): boolean {
    const { tokensPerInterval, intervalMs } = this.terms
    this.#limiter ??= new RateLimiter({ tokensPerInterval, interval: intervalMs })
    return this.#limiter.tryRemoveTokens(1)
  }
}
