import type * as workerThreads from 'node:worker_threads'

/**
 * Whether the calling thread is the main thread. Worker threads have loaded `node:worker_threads`; a main thread that has not
 * need not load it for this question, which would take a start 2 ms.
 */
export function isOnMainThread(): boolean {
  const { moduleLoadList } = process as unknown as { readonly moduleLoadList?: readonly string[] }
  if (moduleLoadList?.includes('NativeModule worker_threads') === false) return true
  // eslint-disable-next-line @typescript-eslint/no-require-imports -- only where it is loaded already
  return (require('node:worker_threads') as typeof workerThreads).isMainThread
}
