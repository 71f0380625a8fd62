import type * as drain from './drain/drain'
import type * as handle from './handle'
import type * as options from './options'
import { run } from './run'

const memory = { run }

// With `export =`, require() and both forms of import get the same object. The namespace of the same name lets TypeScript
// code refer to the types of this module, such as `memory.ClusterOptions`.
// eslint-disable-next-line @typescript-eslint/no-namespace
namespace memory {
  export type Cluster = handle.Cluster
  export type ClusterEvents = handle.ClusterEvents
  export type ClusterStats = handle.ClusterStats
  export type WorkerStats = handle.WorkerStats
  export type WorkerIdentity = handle.WorkerIdentity
  export type WorkerMemory = handle.WorkerMemory
  export type WorkerEnd = handle.WorkerEnd
  export type WorkerLoss = handle.WorkerLoss
  export type ClusterOptions = options.ClusterOptions
  export type ClusterDumpOptions = options.ClusterDumpOptions
  export type BackoffOptions = options.BackoffOptions
  export type RunFunction = options.RunFunction
  export type CleanFunction = drain.CleanFunction
  export type CleanContext = drain.CleanContext
}

declare const exports: { run: unknown }
// This line has no effect when it runs. Node looks for `exports.run` in the text of this file, to allow `import { run }`.
exports.run = run

export = memory
