import { type MessagePort, workerData } from 'node:worker_threads'
import type { WorkerBirth } from '../base/thread-figures'
import { startThreadPool } from '../capture/thread-limit'
import type { Dump, DumpRequest, DumpResult, Failure, Reading, Report, Skip } from '../dispatch/events'
import type { FoundDump } from '../dispatch/found-dump'
import { Gate } from '../dispatch/gate'
import { type RuleChanges, startWatch, type WatchSettings, type Ways } from '../watch/watch'
import { Beats } from './beats'
import { startBlockedLoop } from './blocked-loop'
import { ExitWait } from './exit-wait'
import { InspectorMainThread } from './over-inspector'
import { Turns } from './turns'

/** Data with which the watchdog thread is started. */
export interface WatchdogData {
  readonly settings: WatchSettings
  /** Port for messages. Used instead of `parentPort`, because the main thread can read it at exit without an event loop. */
  readonly port: MessagePort
  readonly gate: SharedArrayBuffer
  readonly beats: SharedArrayBuffer
  readonly exit: SharedArrayBuffer
  /** Name, in the process registry, of the main thread's function that runs orders (requests to the main thread). */
  readonly hook: string
  /** Port on which this thread sends orders to the main thread. */
  readonly orderPort: MessagePort
}

/** Messages from the main thread to the watchdog. */
export type ToWatchdog =
  | { readonly type: 'request'; readonly id: number; readonly request: Omit<DumpRequest, 'early'> }
  | { readonly type: 'update'; readonly changes: RuleChanges }
  /** A reading of a rule whose metric is a function of the application. */
  | { readonly type: 'reading'; readonly rule: string; readonly value: number; readonly sinceMs: number }
  | { readonly type: 'worker'; readonly birth: WorkerBirth }
  | { readonly type: 'stop' }
  /** Answer to `turn`: the main thread's event loop handled that message at this monotonic time, ms. */
  | { readonly type: 'turned'; readonly atMs: number }
  /** The process exits: end the running dump at once. The main thread waits for that on the shared memory of `ExitWait`. */
  | { readonly type: 'exit' }

/** Messages from the watchdog to the main thread. */
export type FromWatchdog =
  | { readonly type: 'ready'; readonly ways: Ways; readonly gateId: number }
  | { readonly type: 'dump'; readonly dump: Dump }
  /** A dump at V8's heap limit found in the directory. The main thread reports it, unless another process has reported it. */
  | { readonly type: 'found'; readonly found: FoundDump }
  | { readonly type: 'skip'; readonly skip: Skip }
  | { readonly type: 'failure'; readonly failure: Failure }
  | { readonly type: 'notice'; readonly line: string }
  | { readonly type: 'reading'; readonly reading: Reading }
  | { readonly type: 'result'; readonly id: number; readonly result: DumpResult }
  | { readonly type: 'stopped' }
  /** Asks for the answer `turned`, which shows that the main thread's event loop runs. */
  | { readonly type: 'turn' }

/**
 * Starts the watch on this thread. The thread never ends by itself, because a thread that exits while an inspector session
 * closes aborts the process.
 */
function main(): void {
  // Starts libuv's thread pool now, so that the ids of its threads are known. Otherwise pidusage would start it later.
  const pool = startThreadPool()
  const {
    settings: given,
    port,
    gate: gateMemory,
    beats: beatMemory,
    exit,
    hook,
    orderPort,
  } = workerData as WatchdogData
  const { known } = given.threads
  // If the application is an ES module, the pool ran before this thread, and its thread ids are in `known`.
  const threads = { known: known.pool.length > 0 ? known : { ...known, pool } }
  const settings = { ...given, threads }
  const beats = new Beats(beatMemory)
  const tell = teller(port)
  const report = reportBy(tell)
  const exitWait = new ExitWait(exit)
  const gate = new Gate(gateMemory)
  const turns = new Turns(() => tell({ type: 'turn' }))
  const watch = startWatch(settings, {
    mainThread: new InspectorMainThread(hook, orderPort, exitWait, turns),
    gate,
    report,
    main: beats,
    onRunning: (isRunning) => (isRunning ? exitWait.hold() : exitWait.release()),
    onChild: (pid) => exitWait.noteChild(pid),
    onFound: (found) => tell({ type: 'found', found }),
  })
  const { blockedMs } = settings.cpu
  const stopBlockedLoop =
    blockedMs === undefined
      ? () => Promise.resolve()
      : startBlockedLoop({ blockedMs, beats, dispatcher: watch.dispatcher, gate })
  const stop = async () => {
    await stopBlockedLoop()
    await watch.stop()
  }
  port.on('message', (message: ToWatchdog) => {
    switch (message.type) {
      case 'request':
        void watch.request(message.request).then((result) => tell({ type: 'result', id: message.id, result }))
        break
      case 'turned':
        turns.turned(message.atMs)
        break
      case 'update':
        watch.update(message.changes)
        break
      case 'reading':
        watch.observe(message.rule, message.value, message.sinceMs)
        break
      case 'worker':
        watch.noteWorker(message.birth)
        break
      case 'exit':
        void watch.dispatcher.stop()
        break
      case 'stop':
        void stop().then(() => tell({ type: 'stopped' }))
        break
    }
  })
  tell({ type: 'ready', ways: watch.ways(), gateId: gate.id })
}

type Tell = (message: FromWatchdog) => void

function teller(port: MessagePort): Tell {
  return (message) => {
    try {
      port.postMessage(message)
    } catch {
      // Only an error object that cannot be cloned fails here, so the failure is sent without it.
      if (message.type !== 'failure') return
      const failure = { ...message.failure, error: undefined }
      port.postMessage({ type: 'failure', failure } satisfies FromWatchdog)
    }
  }
}

function reportBy(tell: Tell): Report {
  return {
    dump: (dump) => tell({ type: 'dump', dump }),
    skip: (skip) => tell({ type: 'skip', skip }),
    failure: (failure) => tell({ type: 'failure', failure }),
    notice: (line) => tell({ type: 'notice', line }),
    reading: (reading) => tell({ type: 'reading', reading }),
  }
}

main()
