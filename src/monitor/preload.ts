import type * as clusterModule from 'node:cluster'
import { messageOf } from '../base/globals'
import { setTimeout } from '../base/time'
import { processRegistry } from '../dispatch/gate'
import { say, stderrLogger } from '../report/listeners'
import { readEnvironment } from './environment'
import { Monitor } from './monitor'

/**
 * Starts a monitor without code, as the environment configures it. Never throws: what is wrong is one line, and the process runs
 * without a monitor.
 *
 * A process may be one that the monitor is not meant for, because NODE_OPTIONS reaches every Node.js. So nothing is printed before
 * there is something to report, an application that calls the monitor itself takes its place, and a primary that forks workers is
 * left to its workers' monitors.
 */
export function preload(environment: Readonly<Record<string, string | undefined>>): void {
  try {
    const registry = processRegistry()
    // Another copy of the package, or a preload before this one.
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

/** Looks once the program has run: by then a primary has loaded `cluster`, and has mostly forked. Nothing is loaded for it. */
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
