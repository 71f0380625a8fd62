import { runInThisContext } from 'node:vm'
import { Atomics } from '../base/globals'
import type { DumpKind } from './events'

/** Time after a dump, ms, in which no reading counts, because the dump itself used CPU and memory. */
export const SETTLING_MS = 5000

/**
 * Bytes of shared memory that a gate needs: the holder and the last id given (32 bits each), the time from which readings count
 * again (64 bits), and the number of running calls of {@link Gate.duringOrder} (32 bits).
 */
export const GATE_BYTES = 20

const HOLDER = 0
const LAST_ID = 1
const NOBODY = 0

/** Encodes the id of the gate's holder and the kind of its dump in one word, so that both change in one atomic step. */
const held = (id: number, kind: DumpKind): number => id * 2 + (kind === 'memory' ? 1 : 0)

/**
 * A lock that lets one dump at a time run in the whole process, on whichever thread or for whichever copy of the package.
 *
 * The state is in shared memory, so that any thread can enter in one atomic step. Times are monotonic ms of
 * `process.hrtime`, the same in all threads of the process (`performance.now` starts at 0 in each thread).
 */
export class Gate {
  /** Identifies this object as holder, so that {@link evict} can free the gate after its thread has died. */
  readonly id: number
  readonly #words: Int32Array
  readonly #settledAt: Float64Array
  readonly #orders: Int32Array

  /** @param shared - `ProcessRegistry.gate`: memory of `GATE_BYTES`, the same for all gates in the process. */
  constructor(shared: SharedArrayBuffer) {
    this.#words = new Int32Array(shared, 0, 2)
    this.#settledAt = new Float64Array(shared, 8, 1)
    this.#orders = new Int32Array(shared, 16, 1)
    this.id = Atomics.add(this.#words, LAST_ID, 1) + 1
  }

  /**
   * Takes the gate for a dump.
   *
   * @param kind - Kind of the dump that begins; shown to other copies of the package.
   * @returns `false` when a dump is running.
   */
  enter(kind: DumpKind): boolean {
    return Atomics.compareExchange(this.#words, HOLDER, NOBODY, held(this.id, kind)) === NOBODY
  }

  /**
   * Lets the next dump begin.
   *
   * @param settlesAtMs - Monotonic time from which readings count again, ms; absent when nothing was captured.
   */
  leave(settlesAtMs?: number): void {
    if (settlesAtMs !== undefined) this.#settledAt[0] = settlesAtMs
    this.evict(this.id)
  }

  /** Frees the gate (lock for dumps) if the holder with this id has it, for example after its thread has died. */
  evict(id: number): void {
    for (const kind of ['cpu', 'memory'] as const) {
      Atomics.compareExchange(this.#words, HOLDER, held(id, kind), NOBODY)
    }
  }

  /**
   * Calls a function with which the monitor blocks the main thread, for example for a dump. Until the function returns,
   * {@link isMainThreadAtOrder} is `true` on every thread.
   */
  duringOrder<Output>(order: () => Output): Output {
    Atomics.add(this.#orders, 0, 1)
    try {
      return order()
    } finally {
      Atomics.sub(this.#orders, 0, 1)
    }
  }

  /** Whether the monitor itself blocks the main thread's event loop now, for example for a dump. */
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
   * Whether a reading over a span of time counts: no dump runs now, and the last capture ended at least {@link SETTLING_MS}
   * before the span.
   *
   * @param sinceMs - Beginning of the span; it ends now.
   */
  isCalm(sinceMs: number): boolean {
    return !this.isHeld && sinceMs >= (this.#settledAt[0] ?? 0)
  }
}

/** State that all copies of this package in one process share, under one `Symbol.for` key. */
export interface ProcessRegistry {
  /** Shared memory for {@link Gate}. */
  readonly gate: SharedArrayBuffer
  /** The keys in use, such as `cpu`, `memory` and `cluster`. Only one monitor or cluster of the process can use each of them. */
  readonly claims: Set<string>
  /**
   * Functions that the watchdog thread calls on the main thread through the inspector, by name. The argument is the slot
   * of the request in shared memory; the result is JSON.
   */
  readonly hooks: Map<string, (slot: number) => string>
  /** The monitor that was started by preload (`node -r cpu-memory-monitor/register`), if there is one. */
  preloaded?: { standBack(): void } | undefined
}

/** Key of the registry, with a version, so that a copy of the package with another layout does not misread this registry. */
export const REGISTRY_KEY = 'cpu-memory-monitor:2'

export function processRegistry(): ProcessRegistry {
  // Jest, for example, loads this package in a vm context with another `globalThis`. The registry must be in the main context,
  // which the inspector sees.
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
 * Reserves keys such as `cpu` or `memory` for a monitor, in all copies of the package in this process.
 *
 * @returns A function that releases the keys. Idempotent.
 * @throws Error when a key is in use: two monitors would spend two budgets on one incident.
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
