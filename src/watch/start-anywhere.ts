import { messageOf } from '../core/message-of'
import { createDirectMainThread } from '../capture/direct-main-thread'
import { ordersDuring, runOrder, type OrderTable } from '../capture/orders'
import type { DumpRequest } from '../dispatch/dispatcher'
import type { DumpResult, Report } from '../dispatch/events'
import { Gate } from '../dispatch/gate'
import { processRegistry } from '../dispatch/process-registry'
import { systemClock } from './clock'
import { EXIT_WAIT_MS } from './exit-wait'
import { goesOnAlone } from './goes-on-alone'
import {
  startWatch,
  type BudgetsLeft,
  type LocalWatch,
  type Watch,
  type WatchSettings,
  type Ways,
} from './watch'
import { Watchdog, type LostWatchdog } from './watchdog'

export interface StartParts {
  readonly settings: WatchSettings
  /** Watch from a thread of its own if one can be had. */
  readonly isThreadWanted: boolean
  /** What only the main thread can do. */
  readonly orders: OrderTable
  readonly report: Report
  /** Told where the watch runs, at the start and when it has moved. */
  readonly onStarted: (started: { thread: string; ways: Ways }) => void
}

/**
 * Watches from a thread of its own, or from this one if that is not wanted or cannot be had. If the thread dies, the watch
 * moves here and takes the budgets that are left.
 */
export function startWatchAnywhere(given: StartParts): Watch {
  const gate = new Gate(processRegistry().gate)
  const parts = { ...given, orders: ordersDuring(given.orders, (order) => gate.duringOrder(order)) }
  return given.isThreadWanted ? new MovableWatch(parts, gate) : startHere(parts, gate, 'the main thread')
}

function startHere(
  { settings, orders, report, onStarted }: StartParts,
  gate: Gate,
  thread: string,
  budgetsLeft?: BudgetsLeft,
  isTakingOver = false,
): Watch {
  const mainThread = createDirectMainThread(orders)
  let childPid: number | undefined
  const onChild = (pid: number | undefined): void => void (childPid = pid)
  const surroundings = { mainThread, gate, report, onChild, isTakingOver }
  const watch = startWatch({ ...settings, budgetsLeft }, surroundings)
  const unseen = settings.blockedMs === undefined ? '' : ', where a blocked event loop goes unseen'
  onStarted({ thread: thread + unseen, ways: watch.ways() })
  return endingAtExit(watch, report, () => childPid)
}

/** A CPU dump that runs when the process exits is ended within the `'exit'` handler: its session answers synchronously here. */
function endingAtExit(watch: LocalWatch, report: Report, childAtWork: () => number | undefined): Watch {
  const onExit = (): void => {
    const overAtMs = systemClock.monotonicMs() + EXIT_WAIT_MS
    const childPid = childAtWork()
    watch.dispatcher.endNow(() => systemClock.monotonicMs() > overAtMs, childPid !== undefined)
    if (childPid !== undefined) report.notice(goesOnAlone(childPid))
  }
  process.on('exit', onExit)
  return {
    request: (request) => watch.request(request),
    async stop() {
      await watch.stop()
      process.removeListener('exit', onExit)
    },
  }
}

/** The watch on its thread, as long as there is one, and then here. */
class MovableWatch implements Watch {
  readonly #parts: StartParts
  readonly #gate: Gate
  readonly #hook: string
  #current: Watch

  constructor(parts: StartParts, gate: Gate) {
    this.#parts = parts
    this.#gate = gate
    this.#hook = `hook-${this.#gate.id}`
    processRegistry().hooks.set(this.#hook, (order, input) => runOrder(parts.orders, order, input))
    this.#current = this.#start()
  }

  request(request: Omit<DumpRequest, 'early'>): Promise<DumpResult> {
    return this.#current.request(request)
  }

  async stop(): Promise<void> {
    await this.#current.stop()
    processRegistry().hooks.delete(this.#hook)
  }

  #start(): Watch {
    const { settings, report, onStarted } = this.#parts
    try {
      return new Watchdog({
        settings,
        gateMemory: processRegistry().gate,
        gate: this.#gate,
        report,
        hook: this.#hook,
        onReady: (ways) => onStarted({ thread: 'a thread of its own', ways }),
        onLost: (lost) => this.#moveHere(lost),
      })
    } catch (error) {
      return startHere(this.#parts, this.#gate, withoutThread(messageOf(error)))
    }
  }

  #moveHere({ why, wasReady, budgetsLeft, unanswered }: LostWatchdog): void {
    const message = `the thread ended (${why}); the main thread takes over`
    if (wasReady) this.#parts.report.failure({ stage: 'watchdog', message })
    const thread = wasReady ? 'the main thread from now on' : withoutThread(why)
    this.#dropProfile()
    this.#current = startHere(this.#parts, this.#gate, thread, budgetsLeft, wasReady)
    for (const { request, settle } of unanswered) void this.#current.request(request).then(settle)
  }

  /** What the thread had begun, nobody would end. */
  #dropProfile(): void {
    try {
      this.#parts.orders.dropPackageProfile({})
    } catch (error) {
      this.#parts.report.failure({ stage: 'watchdog', kind: 'cpu', message: messageOf(error), error })
    }
  }
}

function withoutThread(why: string): string {
  return `the main thread, because the watchdog thread cannot be had: ${why}`
}
