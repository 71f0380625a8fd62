import { randomUUID } from 'node:crypto'
import type { DrainReason } from './plan/events'

/**
 * Event that carries the messages of this library. Node delivers a message whose `cmd` begins with `NODE_` as
 * 'internalMessage', never as 'message', on both ends of a channel and with both serializations; Node's own handlers
 * ignore a command that they do not know
 * (https://nodejs.org/api/child_process.html#subprocesssendmessage-sendhandle-options-callback, `isInternal` in
 * https://github.com/nodejs/node/blob/v24.0.0/lib/internal/child_process.js). So no listener of the application for
 * 'message' (on `process`, `cluster`, `worker` or `cluster.worker`) receives a message of this library, and no listener
 * here receives one of the application's.
 */
export const EVENT = 'internalMessage'
const COMMAND = 'NODE_CPU_MEMORY_MONITOR'

/** Environment variable that gives the workers the primary's process id and the cluster's secret. */
const VARIABLE = 'CPU_MEMORY_MONITOR_PRIMARY'

const SIZES = ['started', 'reading', 'over'] as const
const PLACES = ['listening', 'shut'] as const
const SIGNS = ['joined', 'asked', 'closed', 'enough', 'drained', 'undumped'] as const
const REASONS: readonly DrainReason[] = ['over', 'hard-limit', 'asked', 'stop']

export type FromWorker =
  /**
   * - started: `runFunc` has settled
   * - reading: the worker's memory, at or below the limit, or above it but not yet `confirm` times in a row
   * - over: the worker's memory, above the limit at least `confirm` times in a row
   */
  | { readonly kind: (typeof SIZES)[number]; readonly rssBytes: number }
  /**
   * - listening: the worker listens on this address
   * - shut: the worker no longer listens on this address
   */
  | { readonly kind: (typeof PLACES)[number]; readonly address: string }
  /**
   * - joined: the worker has called `run`
   * - asked: a signal or the application asks the worker to leave
   * - closed: the worker drains and accepts no more connections
   * - enough: the primary must send this worker no more sockets; the primary answers with 'last'
   * - drained: the worker has finished its work and begins to write a dump
   * - undumped: the worker ends without having begun the dump that it was ordered to write; the budget gets the dump back
   */
  | { readonly kind: (typeof SIGNS)[number] }

export type FromPrimary =
  | {
      readonly kind: 'drain'
      readonly reason: DrainReason
      /** Whether the worker is to write a dump of its memory when its last connection has ended. */
      readonly dump: boolean
    }
  /** Answers the worker's 'enough': every socket handed to the worker was sent before this message. */
  | { readonly kind: 'last' }

/** @returns A random secret for the cluster's messages: an application may forward messages that its users have forged. */
export function createSecret(): string {
  return randomUUID()
}

/** @returns The environment variable by which a worker gets this process's id and the cluster's secret. */
export function workerEnvironment(secret: string): Record<string, string> {
  return { [VARIABLE]: `${process.pid}:${secret}` }
}

/**
 * Reads the cluster's secret and removes it from the environment, so that processes started later by this worker do not
 * inherit it. A process started earlier has inherited the variable, but gets no secret: its parent is not the primary.
 *
 * @returns `undefined` when this worker was not forked by `run`, as under PM2 in cluster mode.
 */
export function takeSecret(): string | undefined {
  const [pid, secret] = (process.env[VARIABLE] ?? '').split(':')
  delete process.env[VARIABLE]
  return pid === String(process.ppid) ? secret : undefined
}

/** @returns The message in the form in which it is sent, with the cluster's secret. */
export function seal(message: FromWorker | FromPrimary, secret: string): object {
  return { cmd: COMMAND, secret, ...message }
}

/** @returns The worker's message that the primary received; `undefined` when it is not from this cluster, or malformed. */
export function fromWorker(received: unknown, secret: string): FromWorker | undefined {
  const content = unseal(received, secret)
  if (!content) return undefined
  const { rssBytes, address } = content
  const size = SIZES.find((kind) => kind === content['kind'])
  if (size) return isSize(rssBytes) ? { kind: size, rssBytes } : undefined
  const place = PLACES.find((kind) => kind === content['kind'])
  if (place) return typeof address === 'string' ? { kind: place, address } : undefined
  const sign = SIGNS.find((kind) => kind === content['kind'])
  return sign && { kind: sign }
}

/** @returns The primary's message that a worker received; `undefined` when it is not from this cluster, or malformed. */
export function fromPrimary(received: unknown, secret: string): FromPrimary | undefined {
  const content = unseal(received, secret)
  if (content?.['kind'] === 'last') return { kind: 'last' }
  const reason = REASONS.find((each) => each === content?.['reason'])
  const dump = content?.['dump']
  if (content?.['kind'] !== 'drain' || !reason || typeof dump !== 'boolean') return undefined
  return { kind: 'drain', reason, dump }
}

/** Returns a message's own properties (`Object.prototype` may be polluted); `undefined` if it is not from this cluster. */
function unseal(received: unknown, secret: string): Record<string, unknown> | undefined {
  if (typeof received !== 'object' || received === null) return undefined
  if (own(received, 'cmd') !== COMMAND || own(received, 'secret') !== secret) return undefined
  return Object.assign(Object.create(null) as Record<string, unknown>, received)
}

function own(object: object, key: string): unknown {
  return Object.hasOwn(object, key) ? (object as Record<string, unknown>)[key] : undefined
}

function isSize(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0
}
