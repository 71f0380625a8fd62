import { systemClock } from '../base/clock'
import { messageOf } from '../base/error-text'
import type { WorkerBirth } from '../base/thread-figures'
import type * as carryOut from '../capture/main-thread/carry-out'
import type * as direct from '../capture/main-thread/direct'
import type { Report } from '../dispatch/events'
import { Gate } from '../dispatch/gate'
import { processRegistry } from '../dispatch/process-registry'
import { BIRTHS_KEPT } from '../makeup/roster'
import { LocalReports } from '../watch/local-reports'
import type * as watchModule from '../watch/watch'
import type { LocalWatch, RuleChanges, Watch, WatchSettings, Ways } from '../watch/watch'
import { EXIT_WAIT_MS } from './exit-wait'
import { goesOnAlone } from './goes-on-alone'
import { type LostWatchdog, Watchdog } from './watchdog'

export interface StartParts {
  readonly settings: WatchSettings
  /** Watch from a thread of its own if one can be started. */
  readonly isThreadWanted: boolean
  /** Builds the orders: work that only the main thread can do. Called once, when the first order arrives. */
  readonly orders: () => carryOut.OrderTable
  readonly report: Report
  /** Called about once a second while the watch is on its thread. */
  readonly onBeat?: (() => void) | undefined
  /** Called with the place where the watch runs, at the start and when it has moved. */
  readonly onStarted: (started: { thread: string; ways: Ways }) => void
}

/**
 * Watches from a thread of its own, or from this one where that is not wanted or not possible. If the thread dies, the watch
 * moves to this thread, with fresh budgets.
 */
export function startWatchAnywhere(given: StartParts): Watch {
  const gate = new Gate(processRegistry().gate)
  let orders: carryOut.OrderTable | undefined
  const buildOrders = (): carryOut.OrderTable => {
    const { ordersDuring } = require('../capture/main-thread/carry-out') as typeof carryOut
    return ordersDuring(given.orders(), (order) => gate.duringOrder(order))
  }
  const parts = { ...given, orders: () => (orders ??= buildOrders()) }
  return given.isThreadWanted ? startOnThread(parts, gate) : startHere(parts, gate, 'the main thread')
}

function startHere(
  { settings, orders, report, onStarted }: StartParts,
  gate: Gate,
  thread: string,
  isTakingOver = false,
): Watch {
  // Loaded late: the thread has a copy of its own, and most processes have a thread.
  const { startWatch } = require('../watch/watch') as typeof watchModule
  const { createDirectMainThread } = require('../capture/main-thread/direct') as typeof direct
  const mainThread = createDirectMainThread(orders())
  let childPid: number | undefined
  const onChild = (pid: number | undefined): void => void (childPid = pid)
  const main = new LocalReports()
  const watch = startWatch(settings, { mainThread, gate, report, main, onChild, isTakingOver })
  const unseen = settings.cpu.blockedMs === undefined ? '' : ', where a blocked event loop goes unseen'
  onStarted({ thread: thread + unseen, ways: watch.ways() })
  return endingAtExit(watch, report, main, () => childPid)
}

/** A CPU dump that runs when the process exits is ended within the `'exit'` handler: its session answers synchronously here. */
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

/** The watch on its thread while there is one, and then on this thread. */
function startOnThread(parts: StartParts, gate: Gate): Watch {
  const { settings, orders, report, onBeat, onStarted } = parts
  let changes: RuleChanges = {}
  /** For a watch that has to move. */
  const births: WorkerBirth[] = []
  const moveHere = ({ why, wasReady, unanswered }: LostWatchdog): void => {
    if (wasReady)
      report.failure({ stage: 'watchdog', message: `the thread ended (${why}); the main thread takes over` })
    const thread = wasReady ? 'the main thread from now on' : withoutThread(why)
    current = startHere(parts, gate, thread, wasReady)
    current.update(changes)
    for (const birth of births) current.noteWorker(birth)
    for (const { request, settle } of unanswered) void current.request(request).then(settle)
  }
  const start = (): Watch => {
    try {
      const onReady = (ways: Ways): void => onStarted({ thread: 'a thread of its own', ways })
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
    stop: () => current.stop(),
  }
}

function withoutThread(why: string): string {
  return `the main thread, because the watchdog thread could not be started: ${why}`
}
