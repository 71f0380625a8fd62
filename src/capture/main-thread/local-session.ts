import type inspector from 'node:inspector'
import { createRequire } from 'node:module'
import { isMainThread } from 'node:worker_threads'

/**
 * Why this process has no inspector, and so no CPU profile by the inspector, no sampling heap profile, and no orders
 * from another thread; `undefined` when it has one.
 *
 * Call it on the main thread before any thread connects to it. Where there is no inspector, a session from another
 * thread does not throw but aborts the process. Node starts no inspector under `--permission`, and none for the parent
 * process of `node --test`. On another thread the answer is incomplete: a thread of this package exists only where the
 * main thread has an inspector.
 */
export function whyNoInspector(): string | undefined {
  if (!process.features.inspector) return 'this Node was built without the inspector'
  // Node 26 has a flag that allows it; earlier versions have none.
  const permission = process.permission as { has(scope: string): boolean } | undefined
  if (permission !== undefined && !permission.has('inspector')) return '--permission refuses the inspector'
  return isMainThread ? whyNoSession() : undefined
}

/** A session to the calling thread never aborts the process. Node 20 to 24 throw a plain string here. */
function whyNoSession(): string | undefined {
  try {
    openLocalSession().disconnect()
    return undefined
  } catch {
    return 'Node started this process without an inspector'
  }
}

/** Loaded on first use: a Node built without the inspector has no such module, and most processes never need it. */
export function openLocalSession(): inspector.Session {
  const { Session } = createRequire(__filename)('node:inspector') as typeof inspector
  const session = new Session()
  session.connect()
  return session
}
