import { runInThisContext } from 'node:vm'
import { Atomics } from '../base/globals'
import type { DumpKind } from './events'

/** No reading within this time after a dump counts as a breach: the dump itself used CPU and memory. ms. */
export const SETTLING_MS = 5000

/** Bytes of shared memory that the gate needs. */
export const GATE_BYTES = 20

const HOLDER = 0
const LAST_ID = 1
const NOBODY = 0

/** One word has both the holder of the gate and the kind of its dump, so that they change in one step. */
const held = (id: number, kind: DumpKind): number => id * 2 + (kind === 'memory' ? 1 : 0)

/**
 * One dump at a time in the whole process, whichever thread or copy of the package orders it.
 *
 * The state lies in shared memory, so that entering is one atomic step on any thread. Times are monotonic ms that all
 * threads of the process agree on (`process.hrtime`; `performance.now` starts at 0 in each thread).
 */
export class Gate {
  /** Identifies the holder that enters through this object, so that the hold of a dead thread can be released. */
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

  /** The main thread carries out an order at this moment, so it is the monitor that holds it up. */
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

/** Shared by the copies of this package in one process, under one `Symbol.for` key. */
export interface ProcessRegistry {
  /** The memory of the one gate. */
  readonly gate: SharedArrayBuffer
  /** The keys in use, `cpu`, `memory` and `cluster`: each only once in a process. */
  readonly claims: Set<string>
  /** Hooks on the main thread by name, for orders that arrive over the inspector. The slot of an order in, JSON out. */
  readonly hooks: Map<string, (slot: number) => string>
  /** The monitor that was started without code. */
  preloaded?: { standBack(): void } | undefined
}

/** The key is versioned: a copy with another layout keeps to itself instead of misreading this one. */
export const REGISTRY_KEY = 'cpu-memory-monitor:2'

export function processRegistry(): ProcessRegistry {
  // Not `globalThis`: this copy may be loaded in another vm context, as by Jest. The inspector looks in the main one.
  const shelf = runInThisContext('globalThis') as { [key: symbol]: ProcessRegistry | undefined }
  const key = Symbol.for(REGISTRY_KEY)
  const found = shelf[key]
  if (found) return found
  const registry: ProcessRegistry = {
    gate: new SharedArrayBuffer(GATE_BYTES),
    claims: new Set(),
    hooks: new Map(),
  }
  Object.defineProperty(shelf, key, { value: registry, enumerable: false })
  return registry
}

/**
 * Claims keys for a monitor.
 *
 * @returns Releases them. Idempotent.
 * @throws Error when one of them is in use: two samplers would spend two budgets on one incident.
 */
export function claim(keys: readonly string[]): () => void {
  const { claims } = processRegistry()
  const taken = keys.filter((key) => claims.has(key))
  if (taken.length > 0) {
    throw new Error(
      `cpu-memory-monitor already watches ${taken.join(' and ')} in this process; stop() that monitor first`,
    )
  }
  for (const key of keys) claims.add(key)
  let isReleased = false
  return () => {
    if (isReleased) return
    isReleased = true
    for (const key of keys) claims.delete(key)
  }
}
