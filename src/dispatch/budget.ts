import type limiterPackage from 'limiter'
import type { RateLimiter } from 'limiter'
import { refuseStranger } from '../base/strangers'

/** A budget of dumps: at most `tokensPerInterval` dumps per `intervalMs`. */
export interface Budget {
  readonly tokensPerInterval: number
  readonly intervalMs: number
}

/**
 * Token bucket that limits the number of dumps, for example those of one rule. Each of these dumps takes one token.
 *
 * Uses the method `tryRemoveTokens` of the package `limiter`, because it never waits. `removeTokens` would wait for a token,
 * and the dump would be made hours after the spike that it should explain. The limiter is created with the first dump,
 * because the interval is counted from there.
 */
export class DumpBudget {
  #terms: Budget
  readonly #package: typeof limiterPackage
  #limiter: RateLimiter | undefined

  /** @throws When `limiter` cannot be loaded, for example for lack of a free file descriptor. A later try may succeed. */
  constructor(terms: Budget) {
    this.#terms = terms
    this.#package = loadLimiter()
  }

  get terms(): Budget {
    return this.#terms
  }

  /** Number of dumps that may still be made now. Reading it spends no token. */
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

  /** Changes size and interval of the budget. What was spent stays spent, up to the new size, and an interval begins anew. */
  change(terms: Budget): void {
    const spent = this.#spent
    this.#terms = terms
    this.#beginAnew(Math.min(spent, terms.tokensPerInterval))
  }

  /** Whether {@link tryRemoveToken} would fail now. Reading it spends no token. */
  get isSpent(): boolean {
    return this.terms.tokensPerInterval < 1 || (this.#limiter?.getWaitTime(1) ?? 0) > 0
  }

  /** Takes a token for a dump. @returns `false` when none is left: the dump must not be made. */
  tryRemoveToken(): boolean {
    return this.#startInterval().tryRemoveTokens(1)
  }

  /** Gives back the token of a dump that was not made. The interval begins anew. */
  returnToken(): void {
    this.#beginAnew(this.#spent - 1)
  }

  get #spent(): number {
    return this.#terms.tokensPerInterval - this.left
  }

  /** Begins a new interval in which this number of tokens is spent already. */
  #beginAnew(spent: number): void {
    this.#limiter = undefined
    if (spent > 0) this.#startInterval().tryRemoveTokens(spent)
  }

  /** Returns the limiter. The first call creates it, and so begins the interval. */
  #startInterval(): RateLimiter {
    const { tokensPerInterval, intervalMs } = this.#terms
    return (this.#limiter ??= new this.#package.RateLimiter({ tokensPerInterval, interval: intervalMs }))
  }
}

/** Loads the package `limiter` with `require`, which can be tried again after a failure; an `import` at the top cannot. */
function loadLimiter(): typeof limiterPackage {
  refuseStranger('limiter')
  return require('limiter') as typeof limiterPackage
}
