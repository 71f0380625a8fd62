import type inspector from 'node:inspector'
import { createRequire } from 'node:module'
import { isOnMainThread } from '../../base/main-thread'

/**
 * Returns why this process has no inspector; `undefined` when it has one. Without an inspector there are no CPU profiles
 * through it, no sampling heap profiles, and no requests from another thread to the main thread.
 *
 * Call this function on the main thread before another thread connects to the main thread: without an inspector, such a
 * session does not throw but aborts the process. Node starts no inspector under `--permission`, and none for the parent
 * process of `node --test`. Other threads do not try to open a session: this package starts threads only where the main
 * thread could open one.
 */
export function whyNoInspector(): string | undefined {
  if (!process.features.inspector) return 'this Node was built without the inspector'
  // Only Node 26 has a flag that allows the inspector together with --permission.
  const permission = process.permission as { has(scope: string): boolean } | undefined
  if (permission !== undefined && !permission.has('inspector')) return '--permission refuses the inspector'
  return isOnMainThread() ? whyNoSession() : undefined
}

/** Tries to open an inspector session to the calling thread. That never aborts the process; Node 20 to 24 throw a string. */
function whyNoSession(): string | undefined {
  try {
    openLocalSession().disconnect()
    return undefined
  } catch {
    return 'Node started this process without an inspector'
  }
}

/**
 * Opens an inspector session to the calling thread. Loads `node:inspector` only here: a Node built without the inspector
 * has no such module, and most processes never need it.
 */
export function openLocalSession(): inspector.Session {
  const { Session } = createRequire(__filename)('node:inspector') as typeof inspector
  const session = new Session()
  session.connect()
  return session
}
