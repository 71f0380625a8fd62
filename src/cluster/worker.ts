import cluster, { type Worker } from 'node:cluster'
import type { Logger } from '../options'
import { Doors } from './doors'
import { drain } from './drain'
import { Evidence } from './evidence'
import { readOwnRss, startMemoryCheck } from './memory-check'
import { fromPrimary, tagged, type FromWorker } from './messages'
import type { CleanContext, CleanFunction, ClusterSettings, RunFunction } from './options'
import { startOrphanWatchdog, type OrphanWatchdog } from './orphan-watchdog'
import { isKept } from './parentage'
import { createReport } from './report'
import { watchShutPlaces } from './shut-places'
import { clearTimeout, setImmediate, setTimeout } from '../time/timers'

/** Starts the application in this worker and stands by to drain it. */
export function runWorker(
  settings: ClusterSettings,
  runFunc: RunFunction,
  cleanFunc: CleanFunction | undefined,
): void {
  if (!cluster.worker) throw new Error('run was called in a process that is neither a primary nor a worker')
  new WorkerSide(cluster.worker, settings, cleanFunc).start(runFunc)
}

class WorkerSide {
  readonly #doors = new Doors()
  readonly #report: Logger
  /** Somebody replaces this worker, and says when it goes. */
  readonly #isKept = isKept()
  readonly #disconnect: () => void
  #evidence: Evidence | undefined
  #isReady = false
  #isDraining = false
  #stopCheck: (() => void) | undefined
  #watchdog: OrphanWatchdog | undefined

  constructor(
    private readonly worker: Worker,
    private readonly settings: ClusterSettings,
    private readonly cleanFunc: CleanFunction | undefined,
  ) {
    this.#report = createReport(settings.logger)
    this.#disconnect = worker.disconnect.bind(worker)
  }

  start(runFunc: RunFunction): void {
    if (!this.#isKept) {
      this.#report.warn(
        `the worker with pid ${process.pid} was forked by another cluster's primary: nobody replaces it when it grows`,
      )
    }
    const { dump, limitBytes } = this.settings
    if (dump) {
      const { directory, keep, budget } = dump
      this.#evidence = new Evidence({ directory, limitBytes, keep, budget, report: this.#report })
    }
    if (this.#isKept) this.#tapDisconnect()
    this.#doors.watch()
    watchShutPlaces((place) => this.#send({ kind: 'shut', place }))
    this.#listen()
    this.#checkMemory()
    if (this.settings.watchdog) {
      const longestMs = this.settings.killTimeoutMs + (this.settings.dump?.deadlineMs ?? 0)
      this.#watchdog = startOrphanWatchdog(longestMs, (error) =>
        this.#report.error(`the watchdog of the worker with pid ${process.pid} failed: ${String(error)}`),
      )
    }
    this.#announce(runFunc())
  }

  #listen(): void {
    process.on('message', (message) => {
      const order = fromPrimary(message)
      if (order?.kind === 'drain') this.#drain(order.reason, order.dump)
    })
    process.prependListener('disconnect', () => this.#outlivePrimary())
    for (const signal of this.settings.signals) process.on(signal, () => this.#askToLeave(signal))
  }

  /**
   * So an application gives its worker up, after an error for one. Node then closes its servers at once and tells the primary when
   * the last connection has gone: until then its place would be empty. Its replacement comes first, as for any other reason; one
   * that does not serve yet has no place to lose.
   */
  #tapDisconnect(): void {
    this.worker.disconnect = () => {
      if (this.#isReady && process.connected) this.#send({ kind: 'leave' })
      else this.#disconnect()
      return this.worker
    }
  }

  /**
   * When the primary dies, Node's own listener to the same event ends the worker in the middle of its requests, unless it
   * is told that the worker was leaving anyway.
   */
  #outlivePrimary(): void {
    this.worker.exitedAfterDisconnect = true
    this.#watchdog?.noteOrphaned()
    this.#drain('orphaned', false)
  }

  /**
   * Signals to the process group, as from Ctrl-C, reach the workers too: who goes when is the primary's to say. A primary that
   * is not ours understands no word of this, and means what it sends: PM2 stops and reloads with SIGINT.
   */
  #askToLeave(signal: NodeJS.Signals): void {
    if (!this.#isKept) this.#drain('stop', false)
    else if (signal !== 'SIGINT') this.#send({ kind: 'leave' })
  }

  #checkMemory(): void {
    this.#stopCheck = startMemoryCheck({
      limitBytes: this.settings.limitBytes,
      intervalMs: this.settings.checkIntervalMs,
      confirm: this.settings.confirm,
      readRss: readOwnRss,
      onReading: (rssBytes, isOver) => this.#send({ kind: isOver ? 'over' : 'reading', rssBytes }),
    })
  }

  #announce(started: unknown): void {
    Promise.resolve(started).then(
      () => {
        this.#isReady = true
        this.#send({ kind: 'ready', rssBytes: readOwnRss() ?? 0 })
      },
      (error: unknown) => {
        // Thrown outside of the promise it ends the worker as an uncaught exception, with the application's own handlers.
        setImmediate(() => {
          throw error
        })
      },
    )
  }

  #drain(reason: CleanContext['reason'], isToDump: boolean): void {
    if (this.#isDraining) return
    this.#isDraining = true
    this.#stopCheck?.()
    const killTimer = setTimeout(() => process.exit(1), this.settings.killTimeoutMs)
    const { settings, cleanFunc } = this
    const done = drain(reason, { doors: this.#doors, cleanFunc, settings, report: this.#report })
    this.#send({ kind: 'closed' })
    void done.then(async () => {
      if (isToDump) {
        clearTimeout(killTimer)
        await this.#dump(reason)
      }
      this.#leave()
    })
  }

  /** The lease is given back first: nobody waits for what is written here. */
  async #dump(reason: CleanContext['reason']): Promise<void> {
    this.#send({ kind: 'drained' })
    setTimeout(() => process.exit(1), this.settings.dump?.deadlineMs)
    await this.#evidence?.write(reason)
  }

  /**
   * The way out is a round trip with the primary: connections that it handed to this worker meanwhile come back to it and
   * go to another one (https://github.com/nodejs/node/issues/21746).
   */
  #leave(): void {
    if (!process.connected) process.exit(0)
    process.once('disconnect', () => process.exit(0))
    this.#disconnect()
  }

  #send(message: FromWorker): void {
    if (process.connected) process.send?.(tagged(message), undefined, undefined, ignoreError)
  }
}

/** A channel that closes meanwhile is told by 'disconnect'. */
function ignoreError(): void {
  // Nothing to do.
}
