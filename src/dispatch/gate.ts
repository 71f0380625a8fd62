import { runInThisContext } from 'node:vm'
import { Atomics } from '../base/globals'
import type { DumpKind } from './events'

/** Time after a dump in which no reading counts as above its threshold, ms: the dump itself used CPU and memory. */
export const SETTLING_MS = 5000

/** Bytes of shared memory that a gate needs. */
export const GATE_BYTES = 20

const HOLDER = 0
const LAST_ID = 1
const NOBODY = 0

/** Holder of the gate and kind of its dump, in one word, so that they change in one step. */
const held = (id: number, kind: DumpKind): number => id * 2 + (kind === 'memory' ? 1 : 0)

/**
 * Lets one dump at a time run in the whole process, whichever thread or copy of the package orders it.
 *
 * The state lies in shared memory, so that entering is one atomic step on any thread. Times are monotonic ms of
 * `process.hrtime`, the same in all threads of the process (`performance.now` starts at 0 in each thread).
 */
export class Gate {
  /** Identifies the holder that enters through this object, so that the hold of a dead thread can be released. */
  readonly id: number
  readonly #words: Int32Array
  readonly #settledAt: Float64Array
  readonly #orders: Int32Array

  /** @param shared - The memory of the process's only gate, of `GATE_BYTES`. */
  constructor(shared: SharedArrayBuffer) {
    this.#words = new Int32Array(shared, 0, 2)
    this.#settledAt = new Float64Array(shared, 8, 1)
    this.#orders = new Int32Array(shared, 16, 1)
    this.id = Atomics.add(this.#words, LAST_ID, 1) + 1
  }

  /**
   * @param kind - Kind of the dump that begins; shown to other copies of the package.
   * @returns `false` when a dump is running.
   */
  enter(kind: DumpKind): boolean {
    return Atomics.compareExchange(this.#words, HOLDER, NOBODY, held(this.id, kind)) === NOBODY
  }

  /**
   * Lets the next dump begin.
   *
   * @param settlesAtMs - Time from which readings count again; absent when nothing was captured.
   */
  leave(settlesAtMs?: number): void {
    if (settlesAtMs !== undefined) this.#settledAt[0] = settlesAtMs
    this.evict(this.id)
  }

  /** Frees the gate if the holder with this id has it, for example because its thread has died. */
  evict(id: number): void {
    for (const kind of ['cpu', 'memory'] as const) {
      Atomics.compareExchange(this.#words, HOLDER, held(id, kind), NOBODY)
    }
  }

  /** On the main thread: carries out an order for a dump, and meanwhile shows all threads that it does. */
  duringOrder<Output>(order: () => Output): Output {
    Atomics.add(this.#orders, 0, 1)
    try {
      return order()
    } finally {
      Atomics.sub(this.#orders, 0, 1)
    }
  }

  /** Whether the main thread carries out an order now, so that the monitor itself blocks it. */
  get isMainThreadAtOrder(): boolean {
    return Atomics.load(this.#orders, 0) > 0
  }

  get isHeld(): boolean {
    return this.heldFor !== undefined
  }

  /** Kind of the dump that is being made; `undefined` when none is. */
  get heldFor(): DumpKind | undefined {
    const holder = Atomics.load(this.#words, HOLDER)
    if (holder === NOBODY) return undefined
    return holder & 1 ? 'memory' : 'cpu'
  }

  /**
   * Whether readings over a span of time are undisturbed by dumps: none was running or settling in it.
   *
   * @param sinceMs - Beginning of the span; it ends now.
   */
  isCalm(sinceMs: number): boolean {
    return !this.isHeld && sinceMs >= (this.#settledAt[0] ?? 0)
  }
}

/** State that all copies of this package in one process share, under one `Symbol.for` key. */
export interface ProcessRegistry {
  /** Memory of the process's only gate. */
  readonly gate: SharedArrayBuffer
  /** The keys in use, such as `cpu`, `memory` and `cluster`: each can be used only once in a process. */
  readonly claims: Set<string>
  /** Hooks on the main thread by name, for orders through the inspector. Called with the order's slot; return JSON. */
  readonly hooks: Map<string, (slot: number) => string>
  /** The monitor that was started without code. */
  preloaded?: { standBack(): void } | undefined
}

/** The key is versioned: a copy with another layout uses a registry of its own instead of misreading this one. */
export const REGISTRY_KEY = 'cpu-memory-monitor:2'

export function processRegistry(): ProcessRegistry {
  // Not `globalThis`: this copy may be loaded in another vm context, as by Jest. The inspector sees the main context.
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
