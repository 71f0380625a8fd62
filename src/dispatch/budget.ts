import type limiterPackage from 'limiter'
import type { RateLimiter } from 'limiter'

/** A budget of dumps: at most `tokensPerInterval` dumps per `intervalMs`. */
export interface Budget {
  readonly tokensPerInterval: number
  readonly intervalMs: number
}

/**
 * The token bucket of one kind of dump.
 *
 * Uses `tryRemoveTokens` of the package `limiter`, which never waits; its `removeTokens` queues, and a queued dump
 * comes hours after the spike that it should explain. The interval is counted from the first dump, so the limiter is
 * created then.
 */
export class DumpBudget {
  #terms: Budget
  readonly #package: typeof limiterPackage
  #limiter: RateLimiter | undefined

  /** @throws When the package cannot be loaded: without a free descriptor, for example. Another try may succeed. */
  constructor(terms: Budget) {
    this.#terms = terms
    this.#package = loadLimiter()
  }

  get terms(): Budget {
    return this.#terms
  }

  /** Number of dumps that may still be made now. Reading it spends nothing. */
  get left(): number {
    const { tokensPerInterval } = this.#terms
    const limiter = this.#limiter
    if (!limiter) return tokensPerInterval
    let [least, most] = [0, tokensPerInterval]
    while (least < most) {
      const middle = Math.ceil((least + most) / 2)
      if (limiter.getWaitTime(middle) > 0) most = middle - 1
      else least = middle
    }
    return least
  }

  /** Changes the terms; as many dumps stay spent as before. The interval begins anew. */
  change(terms: Budget): void {
    const spent = this.#terms.tokensPerInterval - this.left
    this.#terms = terms
    this.#limiter = undefined
    const still = Math.min(spent, terms.tokensPerInterval)
    if (still > 0) this.#startInterval().tryRemoveTokens(still)
  }

  /** Whether {@link tryRemoveToken} would fail now. Reading it spends nothing. */
  get isSpent(): boolean {
    return this.terms.tokensPerInterval < 1 || (this.#limiter?.getWaitTime(1) ?? 0) > 0
  }

  /** @returns `true` when a dump may be made; its token is then spent. */
  tryRemoveToken(): boolean {
    return this.#startInterval().tryRemoveTokens(1)
  }

  /** Begins the interval with the first dump. */
  #startInterval(): RateLimiter {
    const { tokensPerInterval, intervalMs } = this.#terms
    return (this.#limiter ??= new this.#package.RateLimiter({ tokensPerInterval, interval: intervalMs }))
  }
}

/** Not imported: an import that failed once would fail for good. */
function loadLimiter(): typeof limiterPackage {
  return require('limiter') as typeof limiterPackage
}
