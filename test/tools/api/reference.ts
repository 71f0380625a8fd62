/**
 * Everything that the package exports. `require('cpu-memory-monitor')` is the function {@link cpuMemoryMonitor},
 * `require('cpu-memory-monitor/cluster')` has the function {@link run}. Their types are members of them, such as
 * `cpuMemoryMonitor.Options` and `memory.ClusterOptions`; those that a type below refers to are here as well.
 *
 * The page is written by `npm run docs:api` from the comments in the code.
 *
 * @module
 */
export type { PassedOver } from '../../../src/capture/capture'
export type { GrowingSite } from '../../../src/capture/heap/allocation-sites'
export type { CleanContext, CleanFunction } from '../../../src/cluster/drain/drain'
export type {
  Cluster,
  ClusterEvents,
  ClusterStats,
  WorkerEnd,
  WorkerIdentity,
  WorkerLoss,
  WorkerMemory,
  WorkerStats,
} from '../../../src/cluster/handle'
export type {
  BackoffOptions,
  ClusterDumpOptions,
  ClusterOptions,
  RunFunction,
} from '../../../src/cluster/options'
export type { CrashCause, DrainReason, RecycleReason } from '../../../src/cluster/plan/events'
export type { SlotState } from '../../../src/cluster/plan/slot'
export { run } from '../../../src/cluster/run'
export type { Dump, DumpResult, Failure, Leak, Reading, Skip, SkipReason } from '../../../src/dispatch/events'
export type { FleetPlan } from '../../../src/dispatch/fleet'
export type { DumpKind, DumpRule } from '../../../src/files/names'
export type {
  Makeup,
  MemoryUse,
  ThreadKind,
  ThreadUse,
  UnreadWorker,
  WorkerHeap,
} from '../../../src/makeup/makeup'
export type { Monitor, MonitorStats } from '../../../src/monitor/monitor'
export type {
  CpuOptions,
  Engine,
  EnginePackages,
  HeapLimitOptions,
  MemoryOptions,
  Options,
} from '../../../src/monitor/options'
export type { RuleFunction, RuleOptions } from '../../../src/monitor/rules'
export type { RuleStats, WatchStats } from '../../../src/monitor/start/start'
export type { Counts } from '../../../src/monitor/tally'
export type { RuleUpdate, Update } from '../../../src/monitor/update'
export type { MonitorEvents } from '../../../src/monitor/voice'
export type { IntervalName, LimiterOption } from '../../../src/options/limiter'
export type { Logger } from '../../../src/report/listeners'
import cpuMemoryMonitor from '../../../src/index'
export { cpuMemoryMonitor }
