import type * as events from './dispatch/events'
import type * as fleet from './dispatch/fleet'
import type * as makeup from './makeup/makeup'
import * as monitor from './monitor/monitor'
import * as options from './monitor/options'
import type * as preload from './monitor/preload'
import type * as rules from './monitor/rules'
import type * as start from './monitor/start/start'
import type * as update from './monitor/update'
import type * as voice from './monitor/voice'
import type * as limiter from './options/limiter'
import type * as logger from './report/listeners'

/**
 * Watches CPU and memory of this process. When a threshold is exceeded, it writes a dump (CPU profile or heap snapshot) to disk.
 *
 * Only what the options name is watched. Without options nothing is watched, and dumps are made only on request: by the signal
 * SIGUSR2, `dumpCpu()` or `dumpMemory()`.
 *
 * @throws TypeError for an option of the wrong type or one that does not exist.
 * @throws RangeError for a value outside an option's range.
 * @throws Error when CPU or memory of this process is already watched, or when `engine: 'packages'` needs a package that is
 * missing.
 */
function cpuMemoryMonitor(userOptions?: cpuMemoryMonitor.Options): cpuMemoryMonitor.Monitor {
  return new monitor.Monitor(options.resolveOptions(userOptions))
}

// The function with which register.js (preload) starts a monitor. If register.js contained the code of the monitor itself, a
// process could have two copies of it.
Object.defineProperty(cpuMemoryMonitor, Symbol.for('cpu-memory-monitor:preload'), {
  value: () => (require('./monitor/preload') as typeof preload).preload(process.env),
})

// Only a namespace can add types to a function in `export =`. It is hidden from docs/api.md, which lists the types themselves.
/** @hidden */
// eslint-disable-next-line @typescript-eslint/no-namespace
declare namespace cpuMemoryMonitor {
  export type Options = options.Options
  export type CpuOptions = options.CpuOptions
  export type MemoryOptions = options.MemoryOptions
  export type HeapLimitOptions = options.HeapLimitOptions
  export type RuleOptions = rules.RuleOptions
  export type RuleFunction = rules.RuleFunction
  export type LimiterOption = limiter.LimiterOption
  export type Engine = options.Engine
  export type EnginePackages = options.EnginePackages
  export type Logger = logger.Logger
  export type FleetPlan = fleet.FleetPlan
  export type Monitor = monitor.Monitor
  export type MonitorEvents = voice.MonitorEvents
  export type Makeup = makeup.Makeup
  export type Dump = events.Dump
  export type DumpResult = events.DumpResult
  export type Skip = events.Skip
  export type SkipReason = events.SkipReason
  export type Leak = events.Leak
  export type Failure = events.Failure
  export type Reading = events.Reading
  export type MonitorStats = monitor.MonitorStats
  export type RuleStats = start.RuleStats
  export type Update = update.Update
  export type RuleUpdate = update.RuleUpdate
}

export = cpuMemoryMonitor
