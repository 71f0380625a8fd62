import type * as drain from './drain/drain'
import type * as handle from './handle'
import type * as options from './options'
import { run } from './run'

const memory = { run }

// `export =` gives require() and both forms of import the same object; the namespace gives TypeScript the names of its
// types.
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
// Has no effect at run time: Node scans the text of this file for `exports.run` to support `import { run }`.
exports.run = run

export = memory
