import cluster, { type Worker } from 'node:cluster'
import { EventEmitter } from 'node:events'
import type { ClusterAction, ClusterInput, ClusterNews, DrainReason } from '../core/cluster-events'
import { Reconciler } from '../core/cluster-reconciler'
import type { WorkerKey } from '../core/cluster-slot'
import { DumpBudget } from '../dispatch/dump-budget'
import { MAX_TIMER_MS, type Logger } from '../options'
import { callListeners, inWords } from '../report/host-code'
import { addressInWords, isAt, type Place } from './address'
import type { Cluster, ClusterEvents, ClusterStats, WorkerIdentity } from './handle'
import { heapLimitNote, limitAboveHeapLimit } from './heap-limit'
import { fromWorker, tagged } from './messages'
import type { ClusterSettings } from './options'
import { toPublication, type Publication } from './publication'
import { primaryEnvironment } from './parentage'
import { watchResidentSets } from './resident-sets'
import { warnOfTooLittleMemory } from './too-little-memory'
import { LINES, WARNINGS, createReport, drainLine, warnAlways } from './report'
import { monotonicMs } from '../time/clock'
import { clearTimeout, setTimeout } from '../time/timers'

/** Forks the workers and keeps them. */
export function runPrimary(settings: ClusterSettings): Cluster {
  const primary = new Primary(settings)
  primary.start()
  return primary
}

/** A signal to the whole group reaches a worker and the primary in either order; the primary's own goes first. ms. */
const GROUP_SIGNAL_MS = 100

/** A launcher that passes Ctrl-C on makes two signals of one; a person takes longer to press it again. ms. */
const SAME_SIGNAL_MS = 500

/** Reasons to drain for which a heap snapshot has something to tell. */
const TELL_OF_MEMORY: ReadonlySet<DrainReason> = new Set<DrainReason>(['over', 'hard-limit'])

const NOBODY: WorkerIdentity = { id: 0, pid: 0 }

/** Carries out what the reconciler decides: the only place that touches processes, timers and signals. */
class Primary extends EventEmitter<ClusterEvents> implements Cluster {
  readonly #reconciler: Reconciler
  readonly #workers = new Map<WorkerKey, Worker>()
  readonly #identities = new Map<WorkerKey, WorkerIdentity>()
  readonly #inputs: ClusterInput[] = []
  readonly #report: Logger
  /** One for all workers: they share the machine. */
  readonly #dumpBudget: DumpBudget | undefined
  readonly #counts = { forks: 0, recycled: 0, crashes: 0 }
  #isStepping = false
  #timer: NodeJS.Timeout | undefined
  #signalledAtMs: number | undefined
  #stopped: Promise<void> | undefined
  #tellStopped: (() => void) | undefined
  #stopReading: (() => void) | undefined

  constructor(private readonly settings: ClusterSettings) {
    super()
    this.#report = createReport(settings.logger)
    const dumpDeadlineMs = settings.dump?.deadlineMs ?? 0
    this.#reconciler = new Reconciler({ ...settings, dumpDeadlineMs }, Math.random)
    this.#dumpBudget = settings.dump && new DumpBudget(settings.dump.budget)
  }

  start(): void {
    warnOfTooLittleMemory(this.settings, this.#report)
    const unlikely = limitAboveHeapLimit(
      this.settings.limitBytes,
      cluster.settings.execArgv ?? process.execArgv,
    )
    if (unlikely !== undefined) this.#report.warn(unlikely)
    for (const signal of this.settings.signals) process.on(signal, this.#onSignal)
    this.#give({ type: 'start' })
    if (this.settings.hardLimitBytes > 0) this.#stopReading = this.#watchResidentSets()
  }

  stop(): Promise<void> {
    this.#stopped ??= new Promise((resolve) => {
      this.#tellStopped = resolve
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
      over: slot.over,
      age: Math.round(now - slot.bornAt),
    }))
    return { count: this.settings.count, workers, ...this.#counts }
  }

  #watchResidentSets(): () => void {
    return watchResidentSets({
      intervalMs: this.settings.checkIntervalMs,
      pids: () => new Map([...this.#identities].map(([key, { pid }]) => [key, pid])),
      onReadings: (rssBytes) => this.#give({ type: 'seen', rssBytes }),
      onFailure: (error) => this.#report.error(`hardLimit cannot be kept: ${String(error)}`),
    })
  }

  /** What an action or a listener brings about is taken in after the step that is under way. */
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

  /** Who a worker was is still told after its end. */
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
      case 'tell':
        return this.#tell(action.news)
      case 'finished':
        return this.#finish()
    }
  }

  #fork(key: WorkerKey): void {
    this.#counts.forks += 1
    let worker: Worker
    try {
      worker = cluster.fork(primaryEnvironment())
    } catch (error) {
      // Too little memory for one more process throws here; what is missing otherwise comes as an 'error' event.
      return this.#failFork(key, error)
    }
    this.#workers.set(key, worker)
    this.#identities.set(key, { id: worker.id, pid: worker.process.pid ?? 0 })
    worker.on('error', (error) => {
      if (worker.process.pid === undefined) this.#failFork(key, error)
    })
    worker.on('listening', (address) => {
      this.#give({ type: 'listening', key, address: addressInWords(address) })
    })
    worker.on('message', (message) => this.#hear(key, message))
    worker.on('disconnect', () => this.#give({ type: 'disconnected', key }))
    worker.on('exit', (code, signal) => this.#lose({ type: 'exit', key, code, signal }))
  }

  #failFork(key: WorkerKey, error: unknown): void {
    this.#report.error(`a worker could not be started: ${String(error)}`)
    this.#lose({ type: 'fork-failed', key })
  }

  #lose(input: Extract<ClusterInput, { type: 'exit' | 'fork-failed' }>): void {
    this.#workers.delete(input.key)
    this.#give(input)
  }

  #hear(key: WorkerKey, message: unknown): void {
    const word = fromWorker(message)
    if (!word) return
    switch (word.kind) {
      case 'ready':
        return this.#give({ type: 'announced', key, rssBytes: word.rssBytes })
      case 'reading':
      case 'over':
        return this.#give({ type: word.kind, key, rssBytes: word.rssBytes })
      case 'leave':
        setTimeout(() => this.#give({ type: 'asked-to-leave', key }), GROUP_SIGNAL_MS).unref()
        return
      case 'shut':
        return this.#noteShut(key, word.place)
      case 'closed':
      case 'drained':
        return this.#give({ type: word.kind, key })
    }
  }

  #noteShut(key: WorkerKey, place: Place): void {
    for (const address of this.#reconciler.slots.get(key)?.addresses ?? []) {
      if (isAt(address, place)) this.#give({ type: 'shut', key, address })
    }
  }

  #send(key: WorkerKey, reason: DrainReason): void {
    const worker = this.#workers.get(key)
    // A message that is lost, as to a worker that dies meanwhile, is made up for by SIGKILL at the deadline.
    if (!worker?.isConnected()) return
    const dump = TELL_OF_MEMORY.has(reason) && (this.#dumpBudget?.tryRemoveToken() ?? false)
    worker.process.send(tagged({ kind: 'drain', reason, dump }), () => undefined)
  }

  #identify(key: WorkerKey): WorkerIdentity {
    return this.#identities.get(key) ?? NOBODY
  }

  #tell(news: ClusterNews): void {
    const who = 'key' in news ? this.#identify(news.key) : NOBODY
    const publication = toPublication(news, who, this.settings.limitBytes)
    this.#count(publication.name)
    this.#write(publication)
    this.#publish(publication)
  }

  #publish({ name, event }: Publication): void {
    callListeners(this, name, event, (error) =>
      this.#report.error(`a listener for '${name}' failed: ${inWords(error)}`),
    )
  }

  #count(name: keyof ClusterEvents): void {
    if (name === 'recycled') this.#counts.recycled += 1
    if (name === 'crash') this.#counts.crashes += 1
  }

  #write({ name, event }: Publication): void {
    // Told with the error by the time it is news.
    if (name === 'crash' && event.cause === 'fork-failed') return
    const note = name === 'crash' ? heapLimitNote(event, this.settings.dump?.directory) : ''
    const line = (LINES[name] as (event: unknown) => string)(event) + note
    if (name === 'limit-unreachable') warnAlways(this.settings.logger, line)
    else if (WARNINGS.has(name)) this.#report.warn(line)
    else this.#report.info(line)
  }

  readonly #onSignal = (signal: NodeJS.Signals): void => {
    if (this.#signalledAtMs !== undefined) {
      if (monotonicMs() - this.#signalledAtMs < SAME_SIGNAL_MS) return
      this.#report.warn(`${signal} once more: all workers are ended at once`)
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
    for (const signal of this.settings.signals) process.off(signal, this.#onSignal)
    this.#tellStopped?.()
  }
}
