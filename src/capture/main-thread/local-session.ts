import type inspector from 'node:inspector'
import { createRequire } from 'node:module'
import { isOnMainThread } from '../../base/main-thread'

/**
 * Returns why this process has no inspector; `undefined` when it has one. Without it, this package can record no CPU
 * profile through the inspector and no sampling heap profile, and another thread cannot send requests to the main thread.
 *
 * Call this function on the main thread before another thread connects to the main thread: without an inspector, such a
 * connection does not throw, but aborts the process. Node starts no inspector under `--permission` (except with
 * `--allow-inspector`, which Node has since 24.12), and none for the parent process of `node --test`. On another thread, this function does not try to
 * open a session: this package starts threads only where the main thread could open one.
 */
export function whyNoInspector(): string | undefined {
  if (!process.features.inspector) return 'this Node was built without the inspector'
  // Since Node 24.12 a flag allows the inspector together with --permission.
  const permission = process.permission as { has(scope: string): boolean } | undefined
  if (permission !== undefined && !permission.has('inspector')) return '--permission refuses the inspector'
  return isOnMainThread() ? whyNoSession() : undefined
}

/**
 * Returns why no inspector session to the calling thread can be opened; `undefined` when it can. The attempt never aborts
 * the process. What Node throws is not used: in Node 20 to 24 it is a string, not an Error.
 */
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
