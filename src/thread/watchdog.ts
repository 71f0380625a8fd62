import { join } from 'node:path'
import { MessageChannel, receiveMessageOnPort, Worker } from 'node:worker_threads'
import { firstLineOf, messageOf, Promise } from '../base/globals'
import { loadLate } from '../base/late'
import { ownThreadOptions } from '../base/thread-environment'
import type { WorkerBirth } from '../base/thread-figures'
import { setTimeout, systemClock } from '../base/time'
import type * as carryOut from '../capture/main-thread/carry-out'
import type { OrderTable } from '../capture/main-thread/carry-out'
import type * as direct from '../capture/main-thread/direct'
import { whyNoInspector } from '../capture/main-thread/local-session'
import { ownPackageDirectory } from '../capture/own-package'
import { whyNoThreadOfOurs } from '../capture/thread-limit'
import type { DumpRequest, DumpResult, Report } from '../dispatch/events'
import type * as foundDumpModule from '../dispatch/found-dump'
import type { FoundDump } from '../dispatch/found-dump'
import { Gate, processRegistry } from '../dispatch/gate'
import { BIRTHS_KEPT } from '../makeup/roster'
import { LocalReports } from '../watch/local-reports'
import type * as watchModule from '../watch/watch'
import type { LocalWatch, RuleChanges, Watch, WatchSettings, Ways } from '../watch/watch'
import { Beats, BEATS_BYTES } from './beats'
import { EXIT_WAIT_BYTES, EXIT_WAIT_MS, ExitWait } from './exit-wait'
import { goesOnAlone } from './goes-on-alone'
import { createOrderHook } from './over-inspector'
import type { FromWatchdog, ToWatchdog, WatchdogData } from './watchdog-thread'

/** Heap limit of the watchdog thread, MB: enough for a large CPU profile both as objects and as JSON text. */
const MAX_HEAP_MB = 192
const MAX_YOUNG_MB = 4

export interface WatchdogParts {
  readonly settings: WatchSettings
  /** Lock for dumps, which the main thread releases if the watchdog thread dies while it holds the lock. */
  readonly gate: Gate
  /** Returns the functions that the watchdog thread can call on the main thread (orders). */
  readonly orders: () => OrderTable
  readonly report: Report
  /** Called about once a second on the main thread. Must not throw. */
  readonly onBeat?: (() => void) | undefined
  readonly onReady: (ways: Ways) => void
  /** Called when the thread could not start or has died: the caller must then start the watch on another thread. */
  readonly onLost: (lost: LostWatchdog) => void
}

/** Why the watchdog thread died, and the dump requests that it left unanswered. */
export interface LostWatchdog {
  readonly why: string
  /** Whether the thread had started the watch before it died. */
  readonly wasReady: boolean
  readonly unanswered: readonly UnansweredRequest[]
}

interface UnansweredRequest {
  readonly request: Omit<DumpRequest, 'early'>
  readonly settle: (result: DumpResult) => void
}

/**
 * Runs the watch on a thread of its own, because timers on the main thread do not fire while its event loop is blocked.
 *
 * This class is used on the main thread and only passes messages. Reading loops and dispatcher run on the watchdog thread
 * (`watchdog-thread`).
 */
export class Watchdog implements Watch {
  readonly #parts: WatchdogParts
  readonly #port
  readonly #hook: string
  readonly #worker: Worker
  readonly #exitWait: ExitWait
  readonly #unanswered = new Map<number, UnansweredRequest>()
  #stopBeats: () => void = () => undefined
  #threadGateId: number | undefined
  #lastId = 0
  #stopping: Promise<void> | undefined
  #onStopped: () => void = () => undefined
  #isOver = false

  /**
   * Starts the thread.
   *
   * @throws When the thread cannot be created: its file is missing (the package was bundled), `--permission` forbids
   * threads, this Node has no inspector, or a limit on threads is reached.
   */
  constructor(parts: WatchdogParts) {
    this.#parts = parts
    const [beats, exit] = [new SharedArrayBuffer(BEATS_BYTES), new SharedArrayBuffer(EXIT_WAIT_BYTES)]
    const entry = threadEntry()
    const { port1, port2 } = new MessageChannel()
    this.#port = port1
    const orders = new MessageChannel()
    this.#exitWait = new ExitWait(exit)
    this.#hook = `hook-${parts.gate.id}`
    const { gate, hooks } = processRegistry()
    this.#worker = startThread(entry, {
      ...{ settings: parts.settings, port: port2, gate, beats, exit },
      ...{ hook: this.#hook, orderPort: orders.port2 },
    })
    hooks.set(this.#hook, createOrderHook(parts.orders, orders.port1))
    this.#worker.on('error', (error) => this.#lost(messageOf(error)))
    this.#worker.on('exit', (code) => this.#lost(`exit code ${code}`))
    port1.on('message', (message: FromWatchdog) => this.#take(message))
    port1.unref()
    this.#stopBeats = new Beats(beats).start(parts.onBeat)
    process.on('exit', this.#onExit)
  }

  request(request: Omit<DumpRequest, 'early'>): Promise<DumpResult> {
    if (this.#isOver) return Promise.resolve(this.#refuse(request))
    const id = ++this.#lastId
    return new Promise((settle) => {
      this.#unanswered.set(id, { request, settle })
      this.#tell({ type: 'request', id, request })
    })
  }

  update(changes: RuleChanges): void {
    if (!this.#isOver) this.#tell({ type: 'update', changes })
  }

  observe(rule: string, value: number, sinceMs: number): void {
    if (!this.#isOver) this.#tell({ type: 'reading', rule, value, sinceMs })
  }

  noteWorker(birth: WorkerBirth): void {
    if (!this.#isOver) this.#tell({ type: 'worker', birth })
  }

  stop(): Promise<void> {
    this.#stopping ??= new Promise<void>((resolve) => {
      this.#onStopped = resolve
      if (this.#isOver) resolve()
      else this.#tell({ type: 'stop' })
    }).then(() => this.#end())
    return this.#stopping
  }

  #take(message: FromWatchdog): void {
    const { report, onReady } = this.#parts
    switch (message.type) {
      case 'ready':
        this.#threadGateId = message.gateId
        return onReady(message.ways)
      case 'dump':
        return report.dump(message.dump)
      case 'found':
        return reportFound(message.found, report)
      case 'skip':
        return report.skip(message.skip)
      case 'failure':
        return report.failure(message.failure)
      case 'notice':
        return report.notice(message.line)
      case 'reading':
        return report.reading?.(message.reading)
      case 'result':
        this.#unanswered.get(message.id)?.settle(message.result)
        this.#unanswered.delete(message.id)
        return
      case 'stopped':
        return this.#onStopped()
      case 'turn':
        return this.#tell({ type: 'turned', atMs: systemClock.monotonicMs() })
    }
  }

  /** Called at exit, without an event loop: blocks until the thread has finished its dump, then reads the thread's messages. */
  readonly #onExit = (): void => {
    this.#exitWait.begin()
    this.#tell({ type: 'exit' })
    this.#exitWait.wait(systemClock.monotonicMs)
    // Messages that the thread sent while the main thread was blocked are still unread.
    this.#readMail()
    const { childPid } = this.#exitWait
    if (childPid !== undefined) this.#parts.report.notice(goesOnAlone(childPid))
  }

  /** Called when the thread has died. First reads the messages that the thread sent before: they may answer requests. */
  #lost(why: string): void {
    if (this.#isOver) return
    this.#readMail()
    if (this.#threadGateId !== undefined) this.#parts.gate.evict(this.#threadGateId)
    this.#letGo()
    if (this.#stopping) {
      this.#refuseUnanswered()
      this.#onStopped()
      return
    }
    const unanswered = [...this.#unanswered.values()]
    this.#unanswered.clear()
    const wasReady = this.#threadGateId !== undefined
    this.#parts.onLost({ why, wasReady, unanswered })
  }

  #readMail(): void {
    let mail: { message: FromWatchdog } | undefined
    while ((mail = receiveMessageOnPort(this.#port) as typeof mail)) this.#take(mail.message)
  }

  /** Ends the thread from here: if it exited by itself right after an inspector session, the process would abort. */
  async #end(): Promise<void> {
    if (this.#isOver) return
    this.#letGo()
    this.#refuseUnanswered()
    await this.#worker.terminate()
  }

  /** Refuses the requests that the thread will not answer any more, because it has stopped or has died while stopping. */
  #refuseUnanswered(): void {
    for (const { request, settle } of this.#unanswered.values()) settle(this.#refuse(request))
    this.#unanswered.clear()
  }

  #refuse({ kind, rule }: Omit<DumpRequest, 'early'>): DumpResult {
    this.#parts.report.skip({ kind, rule, reason: 'stopped', numbers: {} })
    return { skipped: 'stopped' }
  }

  #letGo(): void {
    this.#isOver = true
    this.#stopBeats()
    process.removeListener('exit', this.#onExit)
    this.#port.close()
    processRegistry().hooks.delete(this.#hook)
  }

  #tell(message: ToWatchdog): void {
    this.#port.postMessage(message)
  }
}

function threadEntry(): string {
  const noInspector = whyNoInspector()
  if (noInspector !== undefined) throw new Error(noInspector)
  const noThread = whyNoThreadOfOurs()
  if (noThread !== undefined) throw new Error(noThread)
  return join(ownPackageDirectory(), 'dist', 'thread', 'watchdog-thread.js')
}

function startThread(entry: string, data: WatchdogData): Worker {
  const worker = new Worker(entry, {
    ...ownThreadOptions(),
    workerData: data,
    transferList: [data.port, data.orderPort],
    resourceLimits: { maxOldGenerationSizeMb: MAX_HEAP_MB, maxYoungGenerationSizeMb: MAX_YOUNG_MB },
  })
  worker.unref()
  return worker
}

/** Time between two attempts to move the watch to the main thread after its own thread has died, ms. */
const MOVE_AGAIN_MS = 1000

export interface StartParts {
  readonly settings: WatchSettings
  /** Whether to watch from a thread of its own if one can be started. */
  readonly isThreadWanted: boolean
  /** Builds the functions that only the main thread can run (orders), such as taking a snapshot. Called until it succeeds once. */
  readonly orders: () => carryOut.OrderTable
  readonly report: Report
  /** Called about once a second while the watch runs on a thread of its own. */
  readonly onBeat?: (() => void) | undefined
  /** Called when the watch has started, and again when it has moved to the main thread. `thread` is a phrase for the log. */
  readonly onStarted: (started: { thread: string; isOnOwnThread: boolean; ways: Ways }) => void
}

/**
 * Starts the watch on a thread of its own, or on the calling thread if a thread is not wanted or cannot be started. If the
 * thread dies, the watch moves to the calling thread, where its dump budgets are full again.
 */
export function startWatchAnywhere(given: StartParts): Watch {
  const gate = new Gate(processRegistry().gate)
  let orders: carryOut.OrderTable | undefined
  const buildOrders = (): carryOut.OrderTable => {
    const { ordersDuring } = loadLate(() => require('../capture/main-thread/carry-out') as typeof carryOut)
    return ordersDuring(given.orders(), (order) => gate.duringOrder(order))
  }
  const parts = { ...given, orders: () => (orders ??= buildOrders()) }
  return given.isThreadWanted ? startOnThread(parts, gate) : startHere(parts, gate, 'the main thread')
}

/** Reports a dump at V8's heap limit found in the directory. Few processes find one, so the code is loaded only here. */
function reportFound(found: FoundDump, report: Report): void {
  try {
    const { reportFoundDump } = loadLate(() => require('../dispatch/found-dump') as typeof foundDumpModule)
    reportFoundDump(found, process.pid, report)
  } catch (error) {
    // Unless the dump is marked as reported already, the next process finds and reports it.
    const message = `a dump made at V8's heap limit was found in the directory, but cannot be reported: ${firstLineOf(error)}`
    report.failure({ stage: 'watchdog', message, error })
  }
}

function startHere(
  { settings, orders, report, onStarted }: StartParts,
  gate: Gate,
  thread: string,
  isTakingOver = false,
): Watch {
  // Loaded on first use: usually the watch runs on its own thread, which loads its own copy.
  const { startWatch } = loadLate(() => require('../watch/watch') as typeof watchModule)
  const { createDirectMainThread } = loadLate(() => require('../capture/main-thread/direct') as typeof direct)
  const mainThread = createDirectMainThread(orders())
  let childPid: number | undefined
  const onChild = (pid: number | undefined): void => void (childPid = pid)
  const main = new LocalReports()
  const watch = startWatch(settings, { mainThread, gate, report, main, onChild, isTakingOver })
  const unseen = settings.cpu.blockedMs === undefined ? '' : ' (a blocked event loop is not detected there)'
  onStarted({ thread: thread + unseen, isOnOwnThread: false, ways: watch.ways() })
  return endingAtExit(watch, report, main, () => childPid)
}

/**
 * Adds an `'exit'` handler to a watch on this thread. The handler completes a running CPU dump before it returns, or gives it up
 * after {@link EXIT_WAIT_MS}. It can do so because an inspector session to the calling thread answers synchronously.
 */
function endingAtExit(
  watch: LocalWatch,
  report: Report,
  main: LocalReports,
  childAtWork: () => number | undefined,
): Watch {
  const onExit = (): void => {
    const overAtMs = systemClock.monotonicMs() + EXIT_WAIT_MS
    const childPid = childAtWork()
    watch.dispatcher.endNow(() => systemClock.monotonicMs() > overAtMs, childPid !== undefined)
    if (childPid !== undefined) report.notice(goesOnAlone(childPid))
  }
  process.on('exit', onExit)
  return {
    update: (changes) => watch.update(changes),
    request: (request) => watch.request(request),
    observe: (rule, value, sinceMs) => watch.observe(rule, value, sinceMs),
    noteWorker: (birth) => watch.noteWorker(birth),
    async stop() {
      await watch.stop()
      main.stop()
      process.removeListener('exit', onExit)
    },
  }
}

/** Starts the watch on a thread of its own. If that thread dies, moves the watch to the calling thread. */
function startOnThread(parts: StartParts, gate: Gate): Watch {
  const { settings, orders, report, onBeat, onStarted } = parts
  let changes: RuleChanges = {}
  let hasStopped = false
  /** The latest worker threads that the main thread has started. A watch that moves to this thread needs to know them. */
  const births: WorkerBirth[] = []
  const moveHere = ({ why, wasReady, unanswered }: LostWatchdog): void => {
    if (wasReady)
      report.failure({
        stage: 'watchdog',
        message: `the thread ended (${why}); monitoring moves to the main thread`,
      })
    const thread = wasReady ? 'the main thread from now on' : withoutThread(why)
    const move = (): void => {
      current = startHere(parts, gate, thread, wasReady)
      current.update(changes)
      for (const birth of births) current.noteWorker(birth)
      for (const { request, settle } of unanswered) void current.request(request).then(settle)
    }
    const tryToMove = (isFirst: boolean): void => {
      if (hasStopped) return unanswered.forEach(({ settle }) => settle({ skipped: 'stopped' }))
      try {
        move()
      } catch (error) {
        // Moving loads files, which fails while the process has no free file descriptor.
        const message = `monitoring cannot move to the main thread yet (tried again every second): ${firstLineOf(error)}`
        if (isFirst) report.failure({ stage: 'watchdog', message, error })
        setTimeout(() => tryToMove(false), MOVE_AGAIN_MS).unref()
      }
    }
    tryToMove(true)
  }
  const start = (): Watch => {
    try {
      const onReady = (ways: Ways): void => {
        locateLimiter()
        onStarted({ thread: 'a thread of its own', isOnOwnThread: true, ways })
      }
      return new Watchdog({ settings, gate, orders, report, onBeat, onReady, onLost: moveHere })
    } catch (error) {
      return startHere(parts, gate, withoutThread(messageOf(error)))
    }
  }
  let current = start()
  return {
    update(latest) {
      changes = { ...changes, ...latest }
      current.update(latest)
    },
    request: (request) => current.request(request),
    observe: (rule, value, sinceMs) => current.observe(rule, value, sinceMs),
    noteWorker(birth) {
      births.push(birth)
      if (births.length > BIRTHS_KEPT) births.shift()
      current.noteWorker(birth)
    },
    stop() {
      hasStopped = true
      return current.stop()
    },
  }
}

/**
 * Finds the package `limiter` while there are free file descriptors, in case the watch must move to this thread. If Node has
 * no descriptor to search with, it remembers for good that there is no such package. Called only once the watchdog thread
 * runs, because this takes 1.5 ms.
 */
function locateLimiter(): void {
  try {
    require.resolve('limiter')
  } catch {
    // Not found in a bundled application, where `limiter` is part of the bundle.
  }
}

function withoutThread(why: string): string {
  return `the main thread, because the watchdog thread could not be started: ${why}`
}
