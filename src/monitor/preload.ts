import type * as clusterModule from 'node:cluster'
import { messageOf } from '../base/globals'
import { setTimeout } from '../base/time'
import { processRegistry } from '../dispatch/gate'
import { say, stderrLogger } from '../report/listeners'
import { readEnvironment } from './environment'
import { Monitor } from './monitor'

/**
 * Starts a monitor by preload (`--require`, `--import`) with options from environment variables. Never throws: an error is
 * logged in one line, and the process runs without a monitor.
 *
 * NODE_OPTIONS reaches every Node.js process, also those that the user did not mean. So nothing is logged before the first
 * dump or problem, a monitor that the application starts itself replaces this one, and in a cluster's primary this monitor stops,
 * because each worker has its own.
 */
export function preload(environment: Readonly<Record<string, string | undefined>>): void {
  try {
    const registry = processRegistry()
    // An earlier preload, or another copy of the package, has already started a monitor in this process.
    if (registry.preloaded || registry.claims.size > 0) return
    const settings = readEnvironment(environment)
    if (!settings) return
    const monitor = new Monitor(settings, true)
    const preloaded = {
      standBack: (): void => {
        if (registry.preloaded !== preloaded) return
        registry.preloaded = undefined
        monitor.abandon()
      },
    }
    registry.preloaded = preloaded
    setTimeout(() => watchForWorkers(preloaded.standBack), 0).unref()
  } catch (error) {
    say(stderrLogger(), 'error', `not started: ${messageOf(error)}`)
  }
}

/**
 * Stops the preloaded monitor if this process is a cluster's primary, as soon as it has a worker. Called when the program's main
 * script has run, because only then it is known whether the program has loaded `node:cluster`.
 */
function watchForWorkers(standBack: () => void): void {
  try {
    const { moduleLoadList } = process as unknown as { moduleLoadList?: readonly string[] }
    if (!moduleLoadList?.includes('NativeModule cluster')) return
    const cluster = require('node:cluster') as typeof clusterModule.default
    if (!cluster.isPrimary) return
    if (Object.keys(cluster.workers ?? {}).length > 0) standBack()
    else cluster.once('fork', standBack)
  } catch {
    return
  }
}
