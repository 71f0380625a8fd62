import type { OrderName } from '../capture/main-thread'
import { GATE_BYTES } from './gate'

/** What the copies of this package in one process share, found under one `Symbol.for` key. */
export interface ProcessRegistry {
  /** The memory of the one gate. */
  readonly gate: SharedArrayBuffer
  /** What is watched or kept, `cpu`, `memory` and `cluster`: each only once in a process. */
  readonly claims: Set<string>
  /** Main-thread hooks by name, for orders that come over the inspector. JSON in, JSON out. */
  readonly hooks: Map<string, (order: OrderName, input: string) => string>
}

/** The key is versioned: a copy with another layout keeps to itself instead of misreading this one. */
export const REGISTRY_KEY = 'cpu-memory-monitor:2'

export function processRegistry(): ProcessRegistry {
  const shelf = globalThis as { [key: symbol]: ProcessRegistry | undefined }
  const key = Symbol.for(REGISTRY_KEY)
  const found = shelf[key]
  if (found) return found
  const registry: ProcessRegistry = {
    gate: new SharedArrayBuffer(GATE_BYTES),
    claims: new Set(),
    hooks: new Map(),
  }
  Object.defineProperty(globalThis, key, { value: registry, enumerable: false })
  return registry
}

/**
 * Claims what is to be watched.
 *
 * @returns The undoing.
 * @throws Error when something of it is watched already: two samplers would spend two budgets on one incident.
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
  return () => {
    for (const key of keys) claims.delete(key)
  }
}
