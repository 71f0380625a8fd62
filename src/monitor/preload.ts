import type * as clusterModule from 'node:cluster'
import { messageOf } from '../base/globals'
import { setTimeout } from '../base/time'
import { processRegistry } from '../dispatch/gate'
import { say, stderrLogger } from '../report/listeners'
import { readEnvironment } from './environment'
import { Monitor } from './monitor'

/**
 * Starts a monitor by preload (`--require`, `--import`), as the environment configures it. Never throws: an error is
 * one log line, and the process runs without a monitor.
 *
 * The process may be one that the monitor is not meant for, because NODE_OPTIONS reaches every Node.js. So nothing is
 * printed before there is something to report, a monitor that the application starts itself replaces this one, and in a
 * cluster's primary this one stops, as the workers have monitors of their own.
 */
export function preload(environment: Readonly<Record<string, string | undefined>>): void {
  try {
    const registry = processRegistry()
    // Another copy of the package, or an earlier preload, has started one.
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

/** Checks, after the program has started, for a cluster's primary, which has loaded `cluster` by then. */
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
