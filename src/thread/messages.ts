import type { MessagePort } from 'node:worker_threads'
import type { WorkerBirth } from '../base/thread-figures'
import type { Dump, DumpResult, Failure, Reading, Skip } from '../dispatch/events'
import type { DumpRequest } from '../dispatch/request'
import type { RuleChanges, WatchSettings, Ways } from '../watch/watch'

/** Data that the thread is started with. */
export interface WatchdogData {
  readonly settings: WatchSettings
  /** Not the thread's parent port: at exit the main thread reads messages from this one without an event loop. */
  readonly port: MessagePort
  readonly gate: SharedArrayBuffer
  readonly beats: SharedArrayBuffer
  readonly exit: SharedArrayBuffer
  /** Name of the main thread's hook in the process registry, which carries out orders. */
  readonly hook: string
  /** Orders for that hook. */
  readonly orderPort: MessagePort
}

/** Main thread to watchdog. */
export type ToWatchdog =
  | { readonly type: 'request'; readonly id: number; readonly request: Omit<DumpRequest, 'early'> }
  | { readonly type: 'update'; readonly changes: RuleChanges }
  /** A reading of a rule whose metric is a function of the application. */
  | { readonly type: 'reading'; readonly rule: string; readonly value: number; readonly sinceMs: number }
  | { readonly type: 'worker'; readonly birth: WorkerBirth }
  | { readonly type: 'stop' }
  /** Answer to `turn`: the event loop of the main thread turned at this monotonic time, ms. */
  | { readonly type: 'turned'; readonly atMs: number }
  /** The process is exiting: end what runs at once. Answered through the shared exit memory. */
  | { readonly type: 'exit' }

/** Watchdog to main thread. */
export type FromWatchdog =
  | { readonly type: 'ready'; readonly ways: Ways; readonly gateId: number }
  | { readonly type: 'dump'; readonly dump: Dump }
  | { readonly type: 'skip'; readonly skip: Skip }
  | { readonly type: 'failure'; readonly failure: Failure }
  | { readonly type: 'notice'; readonly line: string }
  | { readonly type: 'reading'; readonly reading: Reading }
  | { readonly type: 'result'; readonly id: number; readonly result: DumpResult }
  | { readonly type: 'stopped' }
  /** Asks for a `turned`. */
  | { readonly type: 'turn' }
