import { runInThisContext } from 'node:vm'
import { GATE_BYTES } from './gate'

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
