import type { Place } from './address'
import type { DrainReason } from '../core/cluster-events'

/** Messages of ours carry this one key; everything else on the channel is the application's and is left alone. */
export const TAG = 'cpu-memory-monitor/cluster'

export type FromWorker =
  | { readonly kind: 'ready' | 'reading' | 'over'; readonly rssBytes: number }
  /** Nothing listens any more on a port or a socket file. */
  | { readonly kind: 'shut'; readonly place: Place }
  | { readonly kind: 'leave' | 'closed' | 'drained' }

export interface FromPrimary {
  readonly kind: 'drain'
  readonly reason: DrainReason
  /** Write a heap snapshot when the last connection has ended. */
  readonly dump: boolean
}

export function tagged(message: FromWorker | FromPrimary): Record<typeof TAG, FromWorker | FromPrimary> {
  return { [TAG]: message }
}

/** @returns The message, when it is one of ours. */
export function fromWorker(message: unknown): FromWorker | undefined {
  return untagged(message) as FromWorker | undefined
}

/** @returns The message, when it is one of ours. */
export function fromPrimary(message: unknown): FromPrimary | undefined {
  return untagged(message) as FromPrimary | undefined
}

function untagged(message: unknown): object | undefined {
  if (typeof message !== 'object' || message === null || !Object.hasOwn(message, TAG)) return undefined
  const content = (message as Record<string, unknown>)[TAG]
  return typeof content === 'object' && content !== null ? content : undefined
}
