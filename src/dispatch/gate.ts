import { Atomics } from '../base/globals'
import type { DumpKind } from './events'

/** No reading within this time after a dump counts as a breach: the dump itself used CPU and memory. ms. */
export const SETTLING_MS = 5000

/** Bytes of shared memory that the gate needs. */
export const GATE_BYTES = 20

const HOLDER = 0
const LAST_ID = 1
const NOBODY = 0

/** One word tells both who holds the gate and for what, so that they change in one step. */
const held = (id: number, kind: DumpKind): number => id * 2 + (kind === 'memory' ? 1 : 0)

/**
 * One dump at a time in the whole process, whichever thread or copy of the package orders it.
 *
 * The state lies in shared memory, so that entering is one atomic step on any thread. Times are monotonic ms that all
 * threads of the process agree on (`process.hrtime`; `performance.now` starts at 0 in each thread).
 */
export class Gate {
  /** Who enters through this object; tells a dead thread's hold from a living one's. */
  readonly id: number
  readonly #words: Int32Array
  readonly #settledAt: Float64Array
  readonly #orders: Int32Array

  /** @param shared - The process's one gate memory, of `GATE_BYTES`. */
  constructor(shared: SharedArrayBuffer) {
    this.#words = new Int32Array(shared, 0, 2)
    this.#settledAt = new Float64Array(shared, 8, 1)
    this.#orders = new Int32Array(shared, 16, 1)
    this.id = Atomics.add(this.#words, LAST_ID, 1) + 1
  }

  /**
   * @param kind - What is going to be dumped; another copy of the package may want to know.
   * @returns `false` when a dump is running.
   */
  enter(kind: DumpKind): boolean {
    return Atomics.compareExchange(this.#words, HOLDER, NOBODY, held(this.id, kind)) === NOBODY
  }

  /**
   * Lets the next one in.
   *
   * @param settlesAtMs - From when on readings count again; absent when nothing was captured.
   */
  leave(settlesAtMs?: number): void {
    if (settlesAtMs !== undefined) this.#settledAt[0] = settlesAtMs
    this.evict(this.id)
  }

  /** Opens the gate if that one holds it, as when its thread has died. */
  evict(id: number): void {
    for (const kind of ['cpu', 'memory'] as const) {
      Atomics.compareExchange(this.#words, HOLDER, held(id, kind), NOBODY)
    }
  }

  /** On the main thread: carries out an order for a dump, and lets every thread see that this is what it is at. */
  duringOrder<Output>(order: () => Output): Output {
    Atomics.add(this.#orders, 0, 1)
    try {
      return order()
    } finally {
      Atomics.sub(this.#orders, 0, 1)
    }
  }

  /** The main thread carries out an order at this moment, so it stands still by our own doing. */
  get isMainThreadAtOrder(): boolean {
    return Atomics.load(this.#orders, 0) > 0
  }

  get isHeld(): boolean {
    return this.heldFor !== undefined
  }

  /** What is being dumped now. */
  get heldFor(): DumpKind | undefined {
    const holder = Atomics.load(this.#words, HOLDER)
    if (holder === NOBODY) return undefined
    return holder & 1 ? 'memory' : 'cpu'
  }

  /**
   * Whether something seen over a span of time can be trusted: no dump was running or settling in it.
   *
   * @param sinceMs - Where the span began; it ends now.
   */
  isCalm(sinceMs: number): boolean {
    return !this.isHeld && sinceMs >= (this.#settledAt[0] ?? 0)
  }
}
