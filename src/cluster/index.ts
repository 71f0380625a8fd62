import type * as handle from './handle'
import type * as options from './options'
import { run } from './run'

const memory = { run }

// `export =` gives require() and both import forms the same object, and TypeScript the names of its types.
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
  export type CleanFunction = options.CleanFunction
  export type CleanContext = options.CleanContext
}

declare const exports: { run: unknown }
// Never read: Node finds the name for `import { run }` here without running the file.
exports.run = run

export = memory
