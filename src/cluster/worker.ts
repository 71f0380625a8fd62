import cluster, { type Worker } from 'node:cluster'
import type { EventEmitter } from 'node:events'
import { readRss } from '../base/rss'
import { clearTimeout, setImmediate, setTimeout } from '../base/time'
import { whyNotWritable } from '../files/directory'
import type { Logger } from '../report/listeners'
import { watchAddresses } from './drain/addresses'
import { type CleanContext, type CleanFunction, drain } from './drain/drain'
import { Doors } from './drain/servers'
import { Evidence } from './dump/worker-dump'
import { surviveDumpSignal } from './dump-signal'
import { startMemoryCheck } from './memory-check'
import { EVENT, fromPrimary, type FromWorker, seal, takeSecret } from './messages'
import type { ClusterSettings, RunFunction } from './options'
import { type OrphanWatchdog, startOrphanWatchdog } from './orphan-watchdog'
import { createLogger, lateDumpLine, unfinishedLine } from './report'

/** Starts the application in this worker, and drains the worker when the primary orders it. */
export function runWorker(
  settings: ClusterSettings,
  runFunc: RunFunction,
  cleanFunc: CleanFunction | undefined,
): void {
  if (!cluster.worker)
    throw new Error(
      'run was called in a process that is neither a cluster primary nor a cluster worker; is NODE_UNIQUE_ID set?',
    )
  new WorkerSide(cluster.worker, settings, cleanFunc).start(runFunc)
}

class WorkerSide {
  readonly #doors = new Doors()
  readonly #report: Logger
  /**
   * Secret that authenticates the cluster's messages. `undefined` under a primary that does not use `run`: such a primary
   * cannot replace this worker or understand its messages.
   */
  readonly #secret = takeSecret()
  readonly #disconnect: () => void
  #evidence: Evidence | undefined
  #isReady = false
  #isDraining = false
  #stopCheck: (() => void) | undefined
  #watchdog: OrphanWatchdog | undefined
  #cut: Promise<void> | undefined
  #resolveCut: (() => void) | undefined

  constructor(
    private readonly worker: Worker,
    private readonly settings: ClusterSettings,
    private readonly cleanFunc: CleanFunction | undefined,
  ) {
    this.#report = createLogger(settings.logger)
    this.#disconnect = worker.disconnect.bind(worker)
  }

  start(runFunc: RunFunction): void {
    this.#send({ kind: 'joined' })
    if (this.#secret === undefined) this.#warnOfForeignPrimary()
    else this.#tapDisconnect()
    const { dump, limitBytes, logger } = this.settings
    if (dump) {
      const writesLine = logger !== false
      this.#evidence = new Evidence({ ...dump, limitBytes, report: this.#report, writesLine })
      // Only the first worker checks the directory, so that there is one log line. The primary cannot check it:
      // `cluster.setupPrimary` may give workers another user or working directory.
      if (this.worker.id === 1) this.#warnOfDirectory(dump.directory)
    }
    this.#doors.watch()
    watchAddresses({
      listening: (address) => this.#send({ kind: 'listening', address }),
      shut: (address) => this.#send({ kind: 'shut', address }),
    })
    this.#listen()
    this.#checkMemory()
    if (this.settings.watchdog) this.#startWatchdog()
    this.#announce(runFunc())
  }

  /**
   * Warns that this worker's primary does not use `run`. The secret is also missing if a primary that uses `run` died while
   * this worker started. So this waits one turn of the event loop, in which Node notices a closed channel, and logs nothing if
   * the channel is closed.
   */
  #warnOfForeignPrimary(): void {
    setImmediate(() => {
      if (!process.connected) return
      this.#report.warn(
        `the worker with pid ${process.pid} was forked by a primary that does not use this package's run(): this worker will not be replaced when it exceeds the limit`,
      )
    })
  }

  #warnOfDirectory(directory: string): void {
    const why = whyNotWritable(directory)
    if (why !== undefined) this.#report.warn(`${directory} cannot be written, dumps to it will fail: ${why}`)
  }

  #listen(): void {
    const secret = this.#secret
    if (secret !== undefined) {
      const channel: EventEmitter = process
      channel.on(EVENT, (message) => {
        const order = fromPrimary(message, secret)
        if (order?.kind === 'drain') this.#drain(order.reason, order.dump)
        else if (order) this.#resolveCut?.()
      })
    }
    process.prependListener('disconnect', () => this.#outlivePrimary())
    for (const signal of this.settings.signals) process.on(signal, () => this.#askToLeave(signal))
    surviveDumpSignal(() =>
      this.#report.warn(
        `SIGUSR2 triggers no heap snapshot: no monitor listens for it in the worker with pid ${process.pid}`,
      ),
    )
  }

  #startWatchdog(): void {
    const longestMs = this.settings.killTimeoutMs + (this.settings.dump?.deadlineMs ?? 0)
    this.#watchdog = startOrphanWatchdog(longestMs, (error) =>
      this.#report.error(
        `the worker with pid ${process.pid} runs without its watchdog thread, which failed: ${String(error)}`,
      ),
    )
  }

  /**
   * Replaces `worker.disconnect()`, which applications call to retire a worker, for example after an error. Node's method
   * closes the worker's servers at once, and informs the primary only when the last connection has ended; until then the
   * cluster would have one serving worker less. So a worker that is ready asks the primary to be replaced instead. Any other
   * worker still calls Node's method.
   */
  #tapDisconnect(): void {
    this.worker.disconnect = () => {
      if (this.#isReady && process.connected) this.#send({ kind: 'asked' })
      else this.#disconnect()
      return this.worker
    }
  }

  /**
   * Drains the worker when the primary has died. Node's own 'disconnect' listener would end the worker in the middle of
   * its requests, so this sets `exitedAfterDisconnect`, which prevents that.
   */
  #outlivePrimary(): void {
    this.worker.exitedAfterDisconnect = true
    this.#watchdog?.noteOrphaned()
    this.#drain('orphaned', false)
  }

  /**
   * Handles a signal of the option `signals`: asks the primary for a replacement. SIGINT is ignored, because Ctrl-C also
   * reaches the primary, which decides when each worker ends. Under a primary that does not use `run`, any of the signals
   * drains the worker: PM2, for example, stops and reloads workers with SIGINT.
   */
  #askToLeave(signal: NodeJS.Signals): void {
    if (this.#secret === undefined) this.#drain('stop', false)
    else if (signal !== 'SIGINT') this.#send({ kind: 'asked' })
  }

  #checkMemory(): void {
    this.#stopCheck = startMemoryCheck({
      limitBytes: this.settings.limitBytes,
      intervalMs: this.settings.checkIntervalMs,
      confirm: this.settings.confirm,
      readRss,
      onReading: (rssBytes, isOver) => this.#send({ kind: isOver ? 'over' : 'reading', rssBytes }),
    })
  }

  #announce(started: unknown): void {
    Promise.resolve(started).then(
      () => {
        this.#isReady = true
        this.#send({ kind: 'started', rssBytes: readRss() ?? 0 })
      },
      (error: unknown) => {
        // Thrown outside the promise, so that it is an uncaught exception: a handler of the application gets it, or, if there
        // is none, it ends the worker.
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
    const killTimer = setTimeout(() => this.#endUnfinished(), this.settings.killTimeoutMs)
    const { settings, cleanFunc } = this
    const cutOff = () => this.#cutOff()
    const done = drain(reason, { doors: this.#doors, cutOff, cleanFunc, settings, report: this.#report })
    this.#send({ kind: 'closed' })
    void done.then(async () => {
      if (isToDump) {
        clearTimeout(killTimer)
        await this.#dump(reason)
      }
      this.#leave()
    })
  }

  /** Ends the worker with code 1 at the deadline of its drain. Logs it only if no primary that uses `run` can log the exit. */
  #endUnfinished(): void {
    if (this.#secret === undefined || !process.connected)
      this.#report.warn(unfinishedLine(process.pid, this.settings.killTimeoutMs))
    process.exit(1)
  }

  /**
   * Asks the primary to hand this worker no more sockets. Resolves when the primary has answered, after all sockets that it
   * sent before, or when the channel closes. Resolves at once without a connected primary that uses `run`.
   */
  #cutOff(): Promise<void> {
    if (this.#secret === undefined || !process.connected) return Promise.resolve()
    this.#cut ??= new Promise((resolve) => {
      this.#resolveCut = resolve
      process.once('disconnect', resolve)
      this.#send({ kind: 'enough' })
    })
    return this.#cut
  }

  /**
   * Writes the dump; ends the worker if that, and leaving after it, take longer than `dump.deadline`. The primary is informed
   * before the dump, so that the next replacement does not wait for it.
   */
  async #dump(reason: CleanContext['reason']): Promise<void> {
    this.#send({ kind: 'drained' })
    const deadlineMs = this.settings.dump?.deadlineMs ?? 0
    let isWritten = false
    setTimeout(() => {
      this.#report.warn(lateDumpLine(process.pid, deadlineMs, isWritten))
      process.exit(1)
    }, deadlineMs)
    const isBegun = await this.#evidence?.write(reason)
    isWritten = true
    if (isBegun === false) this.#send({ kind: 'undumped' })
  }

  /**
   * Ends the worker by Node's `disconnect`, which waits for an answer of the primary. Connections that the primary has just
   * handed to this worker are thus given back, and go to another worker (https://github.com/nodejs/node/issues/21746).
   */
  #leave(): void {
    if (!process.connected) process.exit(0)
    process.once('disconnect', () => process.exit(0))
    this.#disconnect()
  }

  #send(message: FromWorker): void {
    if (this.#secret === undefined || !process.connected) return
    process.send?.(seal(message, this.#secret), undefined, undefined, ignoreError)
  }
}

function ignoreError(): void {
  // The channel is closed, and the event 'disconnect' follows.
}
