import cluster, { type Worker } from 'node:cluster'
import { EventEmitter } from 'node:events'
import { messageOf } from '../base/globals'
import { clearTimeout, MAX_TIMER_MS, monotonicMs, setTimeout } from '../base/time'
import { DumpBudget } from '../dispatch/budget'
import { callListeners, type Logger } from '../report/listeners'
import { divertSockets } from './divert-sockets'
import { heapLimitNote, limitAboveHeapLimit, mayHaveReachedHeapLimit } from './dump/heap-limit'
import { surviveDumpSignal } from './dump-signal'
import type { Cluster, ClusterEvents, ClusterStats, WorkerEnd, WorkerIdentity } from './handle'
import { watchResidentSets } from './memory-check'
import { createSecret, EVENT, fromWorker, seal, workerEnvironment } from './messages'
import type { ClusterSettings } from './options'
import type { ClusterAction, ClusterInput, ClusterNews, DrainReason, WorkerKey } from './plan/events'
import { Reconciler } from './plan/reconciler'
import { isOver } from './plan/slot'
import {
  createLogger,
  cutLine,
  drainLine,
  type LineFacts,
  LINES,
  type Publication,
  spentLine,
  startWarnings,
  toPublication,
  warnAlways,
  WARNINGS,
} from './report'

/**
 * Starts the primary of a cluster. The primary forks the workers, and replaces workers that end or exceed the memory limit.
 *
 * @returns The object that emits the cluster's events and has its methods `stats` and `stop`.
 */
export function runPrimary(settings: ClusterSettings): Cluster {
  const primary = new Primary(settings)
  primary.start()
  return primary
}

/**
 * Delay before the primary acts on a worker's message 'asked' (the worker asks to be replaced), ms. A signal to the whole
 * process group, such as SIGTERM, makes every worker send this message. The primary gets the same signal within the delay, and
 * stops the cluster instead of replacing each worker.
 */
const GROUP_SIGNAL_MS = 100

/**
 * Time after the first signal in which a further signal is ignored, ms. A launcher may forward a signal that the primary has
 * got already, and no user presses Ctrl-C twice so fast.
 */
const SAME_SIGNAL_MS = 500

/** Reasons for draining that concern a worker's memory. A draining worker writes a heap snapshot only for these reasons. */
const ABOUT_MEMORY: ReadonlySet<DrainReason> = new Set<DrainReason>(['over', 'hard-limit'])

const NO_WORKER: WorkerIdentity = { id: 0, pid: 0 }

/**
 * The primary of a cluster. It passes events to the reconciler and executes the actions that the reconciler returns. The
 * reconciler is a pure state machine: it touches no process, timer or signal itself.
 */
class Primary extends EventEmitter<ClusterEvents> implements Cluster {
  readonly #reconciler: Reconciler
  readonly #workers = new Map<WorkerKey, Worker>()
  readonly #identities = new Map<WorkerKey, WorkerIdentity>()
  readonly #inputs: ClusterInput[] = []
  readonly #secret = createSecret()
  readonly #report: Logger
  /** Budget of dumps for all workers together, because they share the machine. `undefined` without the option `dump`. */
  readonly #dumpBudget: DumpBudget | undefined
  /**
   * Workers that were ordered to write a dump, until they end or report that they began none. Only that report returns the token to
   * the budget.
   */
  readonly #dumping = new Set<WorkerKey>()
  /** Functions that write the lines of lost workers. Each waits until the worker's dump has been looked for. */
  readonly #unwritten = new Set<(note: string) => void>()
  readonly #counts = { forks: 0, recycled: 0, crashes: 0 }
  #isStepping = false
  #timer: NodeJS.Timeout | undefined
  #signalledAtMs: number | undefined
  #stopped: Promise<void> | undefined
  #resolveStopped: (() => void) | undefined
  #stopReading: (() => void) | undefined
  #undoDumpSignal: (() => void) | undefined

  constructor(private readonly settings: ClusterSettings) {
    super()
    this.#report = createLogger(settings.logger)
    const dumpDeadlineMs = settings.dump?.deadlineMs ?? 0
    this.#reconciler = new Reconciler({ ...settings, dumpDeadlineMs }, Math.random)
    this.#dumpBudget = settings.dump && new DumpBudget(settings.dump.budget)
  }

  start(): void {
    const unlikely = limitAboveHeapLimit(
      this.settings.limitBytes,
      cluster.settings.execArgv ?? process.execArgv,
    )
    const warnings = [...startWarnings(this.settings), ...(unlikely === undefined ? [] : [unlikely])]
    for (const line of warnings) this.#report.warn(line)
    for (const signal of this.settings.signals) process.on(signal, this.#onSignal)
    process.on('exit', this.#writeNow)
    this.#undoDumpSignal = surviveDumpSignal(() =>
      this.#report.warn(
        `SIGUSR2 triggers no heap snapshot: no monitor listens for it in the primary (pid ${process.pid}). ` +
          'Send SIGUSR2 to a worker whose monitor does; to end the cluster, send SIGTERM',
      ),
    )
    this.#give({ type: 'start' })
    if (this.settings.hardLimitBytes > 0) this.#stopReading = this.#watchResidentSets()
  }

  stop(): Promise<void> {
    this.#stopped ??= new Promise((resolve) => {
      this.#resolveStopped = resolve
      this.#give({ type: 'stop' })
    })
    return this.#stopped
  }

  stats(): ClusterStats {
    const now = monotonicMs()
    const workers = [...this.#reconciler.slots.values()].map((slot) => ({
      ...this.#identify(slot.key),
      rss: slot.rssBytes,
      state: slot.state,
      over: isOver(slot),
      age: Math.round(now - slot.bornAt),
    }))
    return { count: this.settings.count, workers, ...this.#counts }
  }

  #watchResidentSets(): () => void {
    return watchResidentSets({
      intervalMs: this.settings.checkIntervalMs,
      pids: () => new Map([...this.#identities].map(([key, { pid }]) => [key, pid])),
      onReadings: (rssBytes) => this.#give({ type: 'seen', rssBytes }),
      onFailure: (error) =>
        this.#report.error(
          `a worker that hangs is not held to hardLimit while the primary cannot read the workers' memory: ${messageOf(error)}`,
        ),
    })
  }

  /**
   * Passes an input to the reconciler, and executes the actions that the reconciler returns. An input that comes during an
   * action, for example when a listener calls `stop()`, is queued.
   */
  #give(input: ClusterInput): void {
    this.#inputs.push(input)
    if (this.#isStepping) return
    this.#isStepping = true
    try {
      for (let next = this.#inputs.shift(); next; next = this.#inputs.shift()) {
        for (const action of this.#reconciler.step(next, monotonicMs())) this.#act(action)
      }
    } finally {
      this.#isStepping = false
    }
    this.#forgetGone()
    this.#arm()
  }

  /** Deletes id and pid of ended workers. They are kept until the worker's last event, which contains them, has been emitted. */
  #forgetGone(): void {
    for (const key of this.#identities.keys()) {
      if (!this.#reconciler.slots.has(key)) this.#identities.delete(key)
    }
  }

  #arm(): void {
    clearTimeout(this.#timer)
    const { wakeAt } = this.#reconciler
    if (wakeAt === undefined) return
    const delayMs = Math.min(MAX_TIMER_MS, Math.max(1, Math.ceil(wakeAt - monotonicMs())))
    this.#timer = setTimeout(() => this.#give({ type: 'tick' }), delayMs)
  }

  #act(action: ClusterAction): void {
    switch (action.type) {
      case 'fork':
        return this.#fork(action.key)
      case 'drain':
        return this.#send(action.key, action.reason)
      case 'kill':
        this.#workers.get(action.key)?.process.kill('SIGKILL')
        return
      case 'report':
        return this.#announce(action.news)
      case 'finished':
        return this.#finish()
    }
  }

  #fork(key: WorkerKey): void {
    this.#counts.forks += 1
    let worker: Worker
    try {
      worker = cluster.fork(workerEnvironment(this.#secret))
    } catch (error) {
      // cluster.fork() throws some errors, such as ENOMEM. Others, such as EAGAIN, come as an 'error' event.
      return this.#failFork(key, error)
    }
    this.#workers.set(key, worker)
    this.#identities.set(key, { id: worker.id, pid: worker.process.pid ?? 0 })
    worker.on('error', (error) => {
      if (worker.process.pid === undefined) this.#failFork(key, error)
    })
    const channel: EventEmitter = worker.process
    channel.on(EVENT, (message) => this.#take(key, message))
    worker.on('disconnect', () => this.#give({ type: 'disconnected', key }))
    worker.on('exit', (code, signal) => {
      this.#reportCut(key, { code, signal })
      this.#lose({ type: 'exit', key, code, signal })
    })
  }

  #failFork(key: WorkerKey, error: unknown): void {
    this.#report.error(`a worker could not be started: ${messageOf(error)}`)
    this.#identities.delete(key)
    this.#lose({ type: 'fork-failed', key })
  }

  #lose(input: Extract<ClusterInput, { type: 'exit' | 'fork-failed' }>): void {
    this.#workers.delete(input.key)
    this.#dumping.delete(input.key)
    this.#give(input)
  }

  /** Logs that a worker ended with another code than 0, or by a signal, while the cluster stopped. No event reports this. */
  #reportCut(key: WorkerKey, end: WorkerEnd): void {
    const slot = this.#reconciler.slots.get(key)
    if (slot?.state !== 'draining' || slot.recycling || end.code === 0) return
    // There is no reading of the worker's memory: it has only just been started, and probably served no request.
    if (slot.rssBytes === 0) return
    this.#report.warn(cutLine(this.#identify(key), end, this.settings.killTimeoutMs))
  }

  /** Handles a worker's message. Must not throw on any input: an exception in a listener of the channel ends the primary. */
  #take(key: WorkerKey, received: unknown): void {
    const message = fromWorker(received, this.#secret)
    if (!message) return
    switch (message.kind) {
      case 'started':
      case 'reading':
      case 'over':
        return this.#give({ type: message.kind, key, rssBytes: message.rssBytes })
      case 'asked':
        setTimeout(() => this.#give({ type: 'asked', key }), GROUP_SIGNAL_MS).unref()
        return
      case 'listening':
      case 'shut':
        return this.#give({ type: message.kind, key, address: message.address })
      case 'enough':
        return this.#handNoMore(key)
      case 'undumped':
        if (this.#dumping.delete(key)) this.#dumpBudget?.returnToken()
        return
      case 'joined':
      case 'closed':
      case 'drained':
        return this.#give({ type: message.kind, key })
    }
  }

  /**
   * Answers a draining worker's message 'enough' (hand over no more sockets) with 'last', after which no socket should follow.
   * So from now on, a socket that the application sends to this worker goes to a serving worker instead, if there is one.
   */
  #handNoMore(key: WorkerKey): void {
    const worker = this.#workers.get(key)
    if (!worker?.isConnected()) return
    divertSockets(worker.process, () => this.#anyServing()?.process)
    worker.process.send(seal({ kind: 'last' }, this.#secret), () => undefined)
  }

  #anyServing(): Worker | undefined {
    const serving = [...this.#reconciler.slots.values()]
      .filter(({ state, killed }) => state === 'ready' && !killed)
      .map(({ key }) => this.#workers.get(key))
      .filter((worker) => worker?.isConnected())
    return serving[Math.floor(Math.random() * serving.length)]
  }

  #send(key: WorkerKey, reason: DrainReason): void {
    const worker = this.#workers.get(key)
    // Without a channel, for example because the worker is dying, the order is lost. A worker that lives on gets SIGKILL at its
    // deadline.
    if (!worker?.isConnected()) return
    const dump = ABOUT_MEMORY.has(reason) && this.#spendOnDump(key)
    worker.process.send(seal({ kind: 'drain', reason, dump }, this.#secret), () => undefined)
  }

  /** Takes a token for a dump of this worker from the budget, and logs it if none is left. Returns whether to write the dump. */
  #spendOnDump(key: WorkerKey): boolean {
    const budget = this.#dumpBudget
    if (!budget) return false
    const isGranted = budget.tryRemoveToken()
    if (isGranted) this.#dumping.add(key)
    if (!isGranted) this.#report.warn(spentLine(this.#identify(key), budget.terms))
    return isGranted
  }

  #identify(key: WorkerKey): WorkerIdentity {
    return this.#identities.get(key) ?? NO_WORKER
  }

  #announce(news: ClusterNews): void {
    const identity = 'key' in news ? this.#identify(news.key) : NO_WORKER
    const publication = toPublication(news, identity, this.settings.limitBytes)
    this.#count(publication.name)
    this.#write(publication)
    this.#publish(publication)
  }

  #publish({ name, event }: Publication): void {
    callListeners(this, name, event, (error) =>
      this.#report.error(`a listener for '${name}' failed: ${messageOf(error)}`),
    )
  }

  #count(name: keyof ClusterEvents): void {
    if (name === 'recycled') this.#counts.recycled += 1
    if (name === 'crash') this.#counts.crashes += 1
  }

  #write(publication: Publication): void {
    const { name, event } = publication
    // A failed fork has already been logged with its error.
    if (name === 'crash' && event.cause === 'fork-failed') return
    const directory = this.settings.dump?.directory
    if (name !== 'crash' || directory === undefined || !mayHaveReachedHeapLimit(event))
      return this.#writeLine(publication)
    const write = (note: string): void => {
      if (this.#unwritten.delete(write)) this.#writeLine(publication, note)
    }
    this.#unwritten.add(write)
    void heapLimitNote(event, directory).then(write)
  }

  /** Writes the lines that still wait for a note without one, because the process is about to exit or the cluster has stopped. */
  readonly #writeNow = (): void => {
    for (const write of this.#unwritten) write('')
  }

  #writeLine({ name, event }: Publication, note = ''): void {
    const { startTimeoutMs } = this.settings
    const facts = { workerFile: cluster.settings.exec ?? 'the file', startTimeoutMs }
    const line = (LINES[name] as (event: unknown, facts: LineFacts) => string)(event, facts) + note
    if (name === 'limit-unreachable') warnAlways(this.settings.logger, line)
    else if (WARNINGS.has(name)) this.#report.warn(line)
    else this.#report.info(line)
  }

  readonly #onSignal = (signal: NodeJS.Signals): void => {
    if (this.#signalledAtMs !== undefined) {
      if (monotonicMs() - this.#signalledAtMs < SAME_SIGNAL_MS) return
      this.#report.warn(
        `a second signal, ${signal}: all workers get SIGKILL now, and the primary exits with code 1`,
      )
      return this.#leaveNow()
    }
    this.#signalledAtMs = monotonicMs()
    this.#report.info(drainLine(signal, this.#workers.size, this.settings.killTimeoutMs))
    void this.stop().then(() => process.exit(0))
  }

  #leaveNow(): void {
    for (const worker of this.#workers.values()) worker.process.kill('SIGKILL')
    process.exit(1)
  }

  #finish(): void {
    clearTimeout(this.#timer)
    this.#stopReading?.()
    this.#undoDumpSignal?.()
    for (const signal of this.settings.signals) process.off(signal, this.#onSignal)
    process.off('exit', this.#writeNow)
    this.#writeNow()
    this.#resolveStopped?.()
  }
}
