import { messageOf } from '../base/error-text'
import { createDirectMainThread } from '../capture/main-thread/direct'
import { ordersDuring, type OrderTable } from '../capture/main-thread/carry-out'
import type { Report } from '../dispatch/events'
import { Gate } from '../dispatch/gate'
import { processRegistry } from '../dispatch/process-registry'
import { systemClock } from '../base/clock'
import { EXIT_WAIT_MS } from './exit-wait'
import { goesOnAlone } from './goes-on-alone'
import { BIRTHS_KEPT, type WorkerBirth } from '../makeup/roster'
import { LocalReports } from '../watch/local-reports'
import { startWatch, type LocalWatch, type Watch, type WatchSettings, type Ways } from '../watch/watch'
import { Watchdog, type LostWatchdog } from './watchdog'

export interface StartParts {
  readonly settings: WatchSettings
  /** Watch from a thread of its own if one can be started. */
  readonly isThreadWanted: boolean
  /** Work that only the main thread can do. */
  readonly orders: OrderTable
  readonly report: Report
  /** Called with the place where the watch runs, at the start and when it has moved. */
  readonly onStarted: (started: { thread: string; ways: Ways }) => void
}

/**
 * Watches from a thread of its own, or from this one where that is not wanted or not possible. If the thread dies, the watch
 * moves to this thread, with fresh budgets.
 */
export function startWatchAnywhere(given: StartParts): Watch {
  const gate = new Gate(processRegistry().gate)
  const parts = { ...given, orders: ordersDuring(given.orders, (order) => gate.duringOrder(order)) }
  return given.isThreadWanted ? startOnThread(parts, gate) : startHere(parts, gate, 'the main thread')
}

function startHere(
  { settings, orders, report, onStarted }: StartParts,
  gate: Gate,
  thread: string,
  isTakingOver = false,
): Watch {
  const mainThread = createDirectMainThread(orders)
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
  const { settings, orders, report, onStarted } = parts
  /** For a watch that has to move. */
  const births: WorkerBirth[] = []
  const moveHere = ({ why, wasReady, unanswered }: LostWatchdog): void => {
    if (wasReady)
      report.failure({ stage: 'watchdog', message: `the thread ended (${why}); the main thread takes over` })
    const thread = wasReady ? 'the main thread from now on' : withoutThread(why)
    current = startHere(parts, gate, thread, wasReady)
    for (const birth of births) current.noteWorker(birth)
    for (const { request, settle } of unanswered) void current.request(request).then(settle)
  }
  const start = (): Watch => {
    try {
      const onReady = (ways: Ways): void => onStarted({ thread: 'a thread of its own', ways })
      return new Watchdog({ settings, gate, orders, report, onReady, onLost: moveHere })
    } catch (error) {
      return startHere(parts, gate, withoutThread(messageOf(error)))
    }
  }
  let current = start()
  return {
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
