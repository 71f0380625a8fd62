/** One line of the probe: an event of Node in the primary, or of the handle. */
export interface Entry {
  /** Monotonic ms. */
  readonly t: number
  readonly ev: string
  readonly id: number
  readonly pid: number
  readonly port?: number
  readonly code?: number | null
  readonly signal?: string | null
  readonly ms?: number
  readonly rss?: number
  readonly [more: string]: unknown
}

type State = 'starting' | 'accepting' | 'closed' | 'gone'

/** Counts the workers that live and that accept, from Node's events and not from the library's. */
export class Census {
  readonly #states = new Map<number, State>()
  readonly #pids: number[] = []
  #sinceFull: number | undefined
  #belowSince: number | undefined
  /** Fewest that accepted at one time, once all did. */
  leastAccepting = Infinity
  mostLive = 0
  /** Most that had begun to drain and were not gone. */
  mostDraining = 0
  msBelow = 0

  constructor(private readonly count: number) {}

  get serving(): number {
    return this.accepting + (this.#listens ? 0 : this.#in('starting'))
  }

  get accepting(): number {
    return this.#in('accepting')
  }

  get live(): number {
    return this.#states.size - this.#in('gone')
  }

  #listens = false

  take(entry: Entry): void {
    if (entry.ev === 'fork') {
      this.#states.set(entry.id, 'starting')
      this.#pids.push(entry.pid)
    }
    if (entry.ev === 'listening') {
      this.#listens = true
      this.#states.set(entry.id, 'accepting')
    }
    if (entry.ev === 'close' || entry.ev === 'disconnect') this.#end(entry.id, 'closed')
    if (entry.ev === 'exit') this.#end(entry.id, 'gone')
    this.#measure(entry.t)
  }

  allPids(): readonly number[] {
    return this.#pids
  }

  #end(id: number, state: State): void {
    if (this.#states.get(id) !== 'gone') this.#states.set(id, state)
  }

  #measure(t: number): void {
    const { accepting } = this
    this.mostLive = Math.max(this.mostLive, this.live)
    this.mostDraining = Math.max(this.mostDraining, this.#in('closed'))
    if (accepting >= this.count) this.#sinceFull ??= t
    if (this.#sinceFull === undefined) return
    this.leastAccepting = Math.min(this.leastAccepting, accepting)
    if (this.#belowSince !== undefined) this.msBelow += t - this.#belowSince
    this.#belowSince = accepting < this.count ? t : undefined
  }

  #in(state: State): number {
    let count = 0
    for (const each of this.#states.values()) if (each === state) count += 1
    return count
  }
}
