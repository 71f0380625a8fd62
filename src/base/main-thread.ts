import type * as workerThreads from 'node:worker_threads'

/**
 * Whether the calling thread is the main thread. Node has loaded `node:worker_threads` in each worker thread, so a thread in
 * which it is not loaded is the main thread. This check comes first, because loading the module would delay a start by 2 ms.
 */
export function isOnMainThread(): boolean {
  const { moduleLoadList } = process as unknown as { readonly moduleLoadList?: readonly string[] }
  if (moduleLoadList?.includes('NativeModule worker_threads') === false) return true
  // eslint-disable-next-line @typescript-eslint/no-require-imports -- only where it is loaded already
  return (require('node:worker_threads') as typeof workerThreads).isMainThread
}
