import type {
  ClusterAction,
  ClusterInput,
  ClusterNews,
  DrainReason,
} from '../../../../src/cluster/plan/events'
import { Reconciler, type ReconcilerSettings } from '../../../../src/cluster/plan/reconciler'

export const MB = 1_000_000

export const SETTINGS: ReconcilerSettings = {
  count: 3,
  limitBytes: 100 * MB,
  hardLimitBytes: 0,
  killTimeoutMs: 5000,
  startTimeoutMs: 30_000,
  minUptimeMs: 10_000,
  minLifetimeMs: 10_000,
  backoff: { baseMs: 1000, maxMs: 30_000 },
  maxSurge: 1,
  dumpDeadlineMs: 0,
}

/** A cluster without processes: a clock that the test turns, and a record of what the reconciler ordered. */
export class Stage {
  now = 0
  readonly reconciler: Reconciler
  readonly forked: number[] = []
  readonly forkedAt: number[] = []
  readonly drained: { key: number; reason: DrainReason; at: number }[] = []
  readonly killed: number[] = []
  readonly news: ClusterNews[] = []
  finished = false
  /** Called at each fork; it may give further inputs. */
  onFork: ((key: number) => void) | undefined

  constructor(settings: Partial<ReconcilerSettings> = {}, random: () => number = () => 0.5) {
    this.reconciler = new Reconciler({ ...SETTINGS, ...settings }, random)
    this.give({ type: 'start' })
  }

  give(input: ClusterInput): void {
    for (const action of this.reconciler.step(input, this.now)) this.#record(action)
  }

  /** Lets time pass, waking the reconciler when it wants to be woken. */
  pass(ms: number): void {
    const end = this.now + ms
    for (let wakes = 0; ; wakes += 1) {
      const wakeAt = this.reconciler.wakeAt
      if (wakeAt === undefined || wakeAt > end) break
      if (wakes > 100_000) throw new Error(`it wants to be woken at ${wakeAt} again and again`)
      this.now = Math.max(this.now, wakeAt)
      this.give({ type: 'tick' })
    }
    this.now = end
  }

  announce(key: number, rssBytes = 40 * MB): void {
    this.give({ type: 'joined', key })
    this.give({ type: 'started', key, rssBytes })
  }

  over(key: number, rssBytes = 120 * MB): void {
    this.give({ type: 'over', key, rssBytes })
  }

  exit(key: number, code: number | null = 0, signal: string | null = null): void {
    this.give({ type: 'exit', key, code, signal })
  }

  /** All of the first workers serve, for long enough that none counts as young. */
  settled(): this {
    for (const key of [...this.forked]) this.announce(key)
    this.pass(60_000)
    return this
  }

  names(): string[] {
    return this.news.map((news) => news.name)
  }

  count(name: ClusterNews['name']): number {
    return this.names().filter((each) => each === name).length
  }

  states(): string[] {
    return [...this.reconciler.slots.values()].map(
      ({ key, state }) => `${key} ${state}${key === this.reconciler.standIn ? '+' : ''}`,
    )
  }

  #record(action: ClusterAction): void {
    switch (action.type) {
      case 'fork':
        this.forked.push(action.key)
        this.forkedAt.push(this.now)
        this.onFork?.(action.key)
        return
      case 'drain':
        this.drained.push({ key: action.key, reason: action.reason, at: this.now })
        return
      case 'kill':
        this.killed.push(action.key)
        return
      case 'report':
        this.news.push(action.news)
        return
      case 'finished':
        this.finished = true
    }
  }
}
