import cluster from 'node:cluster'
import { EventEmitter } from 'node:events'
import { isMainThread } from 'node:worker_threads'
import { processRegistry } from '../dispatch/gate'
import type { CleanFunction } from './drain/drain'
import type { Cluster, ClusterEvents, ClusterStats } from './handle'
import { checkFunctions, type ClusterOptions, resolveClusterOptions, type RunFunction } from './options'
import { runPrimary } from './primary'
import { runWorker } from './worker'

/**
 * Runs an application in several processes, the workers, and replaces a worker when its memory exceeds a limit. The old
 * worker first finishes its requests, for at most `killTimeout` ms. By default, its replacement serves before that begins,
 * so the cluster keeps its capacity.
 *
 * The file that calls `run` is executed in the primary and in every worker. In the primary `run` forks the workers; in
 * a worker it calls `runFunc`.
 *
 * @param limit - Resident set size above which a worker is replaced: bytes, or a size such as `'400mb'`. It must lie well
 * above what a fresh worker uses, and the machine must have memory for all workers at this limit and one more.
 * @param runFunc - Starts the application; its result is awaited before the worker counts as ready.
 * @param cleanFunc - Called in a worker as soon as it begins to drain, while requests are still being answered.
 * @returns In the primary a handle that emits the cluster's events; in a worker a handle that emits no events and does nothing.
 * @throws TypeError for a value of the wrong type, or an option that does not exist.
 * @throws RangeError for a value outside its range, also in an environment variable.
 * @throws Error when this process runs a cluster already, and in a worker thread.
 */
export function run(
  limit: number | string,
  runFunc: RunFunction,
  cleanFunc?: CleanFunction,
  options?: ClusterOptions,
): Cluster {
  checkFunctions(runFunc, cleanFunc)
  const settings = resolveClusterOptions(limit, options)
  // In a worker thread `cluster.isPrimary` is true, even within a cluster worker: workers forked there would start the
  // same thread, and fork without end.
  if (!isMainThread) throw new Error('run was called in a worker thread; call it on the main thread')
  claimProcess()
  if (cluster.isPrimary) return runPrimary(settings)
  runWorker(settings, runFunc, cleanFunc)
  return new InertCluster()
}

/** Throws on a second call of `run` in a process. Each worker executes the same file, and would start both applications. */
function claimProcess(): void {
  const { claims } = processRegistry()
  if (claims.has('cluster')) throw new Error('run was called already: a process can run only one cluster')
  claims.add('cluster')
}

/** Handle that `run` returns in a worker, which does not control the cluster: it emits no events, and `stop` does nothing. */
class InertCluster extends EventEmitter<ClusterEvents> implements Cluster {
  stats(): ClusterStats {
    return { count: 0, workers: [], forks: 0, recycled: 0, crashes: 0 }
  }

  stop(): Promise<void> {
    return Promise.resolve()
  }
}
