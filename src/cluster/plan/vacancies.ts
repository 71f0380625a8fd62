/** A place in the cluster that no worker holds. */
export interface Vacancy {
  /** When it may be filled. */
  readonly notBefore: number
  /** Addresses that the last holder listened on: the next one is ready when it holds them too. */
  readonly expects: ReadonlySet<string>
}

const NOTHING: ReadonlySet<string> = new Set()

/**
 * The places to fill. `fit` sets their number from a count of the workers that serve, never from a count of events: an
 * 'exit' and a 'disconnect' of one worker, in whichever order, must not make two.
 */
export class Vacancies {
  #open: Vacancy[] = []

  /** The earliest time at which one may be filled. */
  get nextAt(): number | undefined {
    return this.#open.length === 0 ? undefined : Math.min(...this.#open.map((vacancy) => vacancy.notBefore))
  }

  /** Notes what is known about a place that has just become free. */
  open(vacancy: Vacancy): void {
    this.#open.push(vacancy)
  }

  /** Makes as many vacancies as workers are missing: additional ones are due at once, of too many the latest are dropped. */
  fit(missing: number, now: number): void {
    while (this.#open.length < missing) this.#open.push({ notBefore: now, expects: NOTHING })
    if (this.#open.length > missing) {
      this.#open.sort((a, b) => a.notBefore - b.notBefore)
      this.#open.length = missing
    }
  }

  /** Removes and returns those that may be filled now. */
  takeDue(now: number): readonly Vacancy[] {
    const due = this.#open.filter((vacancy) => vacancy.notBefore <= now)
    this.#open = this.#open.filter((vacancy) => vacancy.notBefore > now)
    return due
  }

  /** Brings later ones forward: once one worker has come up, the others need not wait out their old delays. */
  hasten(notAfter: number): void {
    this.#open = this.#open.map((vacancy) => ({
      ...vacancy,
      notBefore: Math.min(vacancy.notBefore, notAfter),
    }))
  }
}
