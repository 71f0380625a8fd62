import type { Budget } from './budget'
import { RateLimiter } from 'limiter'

/**
 * The token bucket of one kind of dump.
 *
 * `tryRemoveTokens` is the call of `limiter` that never waits; its `removeTokens` queues, and a queued dump comes hours after the
 * spike that it was to explain. The interval is counted from the first dump, so the limiter is made then.
 */
export class DumpBudget {
  /** Dumps per interval. */
  readonly terms: Budget
  #limiter: RateLimiter | undefined

  constructor(terms: Budget) {
    this.terms = terms
  }

  /** @returns `true` when a dump may be made; its token is then spent. */
  tryRemoveToken(): boolean {
    const { tokensPerInterval, intervalMs } = this.terms
    this.#limiter ??= new RateLimiter({ tokensPerInterval, interval: intervalMs })
    return this.#limiter.tryRemoveTokens(1)
  }
}
