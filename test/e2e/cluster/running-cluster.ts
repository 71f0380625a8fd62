import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import type { Readable } from 'node:stream'
import type { TestContext } from 'node:test'
import { coverTheThread } from '../../harness/cover-the-thread'
import { type Ending, LIFETIME_MS, Program } from '../../harness/program'
import { Census, type Entry } from './census'
import { PATIENCE_MS } from './http-client'

const FIXTURES = `${__dirname}/programs`

/** The probe ends the group by itself this much later than the test should have, ms. */
const PROBE_MARGIN_MS = 10_000

/** Events that the message of a failed wait shows: a long run has thousands. */
const SHOWN_EVENTS = 300

/** What `app.js` is to do; `options` go to `run`. */
export interface AppConfig {
  readonly limit?: number | string
  readonly start?: string
  readonly clean?: string
  readonly options?: Record<string, unknown>
  readonly [more: string]: unknown
}

export interface StartOptions {
  readonly program?: string
  readonly env?: Record<string, string>
  /** With an IPC channel to the test, as below PM2 in fork mode or nodemon. */
  readonly ipc?: boolean
  /** A command that starts the primary. */
  readonly launcher?: readonly string[]
  /** Becomes the primary's descriptor 5. */
  readonly descriptor?: number
  /** Time after which the cluster is killed, and waits for it fail, ms. @default that of any program of the tests */
  readonly lifetimeMs?: number
}

/** A primary in a process group of its own; nothing of it outlives the test. */
export class RunningCluster {
  readonly entries: Entry[] = []
  readonly census: Census

  static async start(t: TestContext, config: AppConfig, options: StartOptions = {}): Promise<RunningCluster> {
    const count = (config.options?.['count'] as number | undefined) ?? 2
    const full = { ...config, options: { count, backoff: { base: 200 }, ...config.options } }
    const { program = 'app.js', env = {}, ipc = false, launcher = [], descriptor = 'ignore' } = options
    const { lifetimeMs = LIFETIME_MS } = options
    const flags = [...coverTheThread, '--require', `${FIXTURES}/probe.js`]
    const [command = '', ...args] = [...launcher, process.execPath, ...flags, `${FIXTURES}/${program}`]
    const primary = new Program(t, [command, ...args], {
      cwd: process.cwd(),
      detached: true,
      lifetimeMs,
      stdio: ['ignore', 'pipe', 'pipe', 'pipe', ipc ? 'ipc' : 'ignore', descriptor],
      env: {
        ...cleanEnvironment(),
        CLUSTER_PROBE: '1',
        CLUSTER_LONGEST_MS: String(lifetimeMs + PROBE_MARGIN_MS),
        CLUSTER_APP: JSON.stringify(full),
        ...env,
      },
    })
    const running = new RunningCluster(primary, count)
    await once(primary.child, 'spawn')
    return running
  }

  private constructor(
    private readonly program: Program,
    readonly count: number,
  ) {
    this.census = new Census(count)
    program.readLines(program.child.stdio[3] as Readable, (entry) => {
      this.entries.push(entry as unknown as Entry)
      this.census.take(entry as unknown as Entry)
    })
  }

  get primary(): Program['child'] {
    return this.program.child
  }

  get said(): readonly Record<string, unknown>[] {
    return this.program.said
  }

  get stderr(): string {
    return this.program.stderr
  }

  /** Its exit; its workers may still hold its output then. */
  get exit(): Ending | undefined {
    const { exitCode: code, signalCode: signal } = this.program.child
    return code === null && signal === null ? undefined : { code, signal }
  }

  get pid(): number {
    return this.primary.pid ?? 0
  }

  get port(): number {
    const port = this.entries.findLast((entry) => entry.ev === 'listening')?.port
    assert.ok(port, 'no worker listens yet')
    return port
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`
  }

  /** Events of the handle by that name. */
  events(name: string): Entry[] {
    return this.entries.filter((entry) => entry.ev === `handle ${name}`)
  }

  times(ev: string): number {
    return this.entries.filter((entry) => entry.ev === ev).length
  }

  /** Waits for something to become true, and fails with what has happened until then. */
  until(what: string, isTrue: () => boolean, timeoutMs = PATIENCE_MS): Promise<void> {
    return this.#until(what, isTrue, { timeoutMs, outlives: true })
  }

  /** Waits for a line on stderr: events come on a pipe of their own, and may come first. */
  says(line: RegExp): Promise<void> {
    return this.until(String(line), () => line.test(this.stderr))
  }

  allReady(): Promise<void> {
    return this.until(
      'all workers to serve',
      () => this.census.serving >= this.count && this.ready() >= this.count,
    )
  }

  ready(): number {
    return this.events('ready').length
  }

  /** Fails at once when the cluster has ended: no replacement can follow. */
  recycled(times: number, timeoutMs = PATIENCE_MS): Promise<void> {
    const isDone = () => this.events('recycled').length >= times
    return this.#until(`${times} replacements`, isDone, { timeoutMs, outlives: false })
  }

  async gone(timeoutMs?: number): Promise<Ending> {
    await this.until('the primary to exit', () => this.exit !== undefined, timeoutMs)
    return this.exit ?? { code: null, signal: null }
  }

  /** Process ids of workers that are still there. */
  livePids(): number[] {
    return this.census.allPids().filter(isAlive)
  }

  kill(signal: NodeJS.Signals): void {
    process.kill(this.pid, signal)
  }

  story(): string {
    return `${inLines(this.entries)}\n${this.stderr}`
  }

  async #until(
    what: string,
    isTrue: () => boolean,
    options: { readonly timeoutMs: number; readonly outlives: boolean },
  ): Promise<void> {
    try {
      await this.program.until(what, () => isTrue() || undefined, options)
    } catch (error) {
      const counted = `${this.events('recycled').length} replacements, ${this.entries.length} events`
      const latest = inLines(this.entries.slice(-SHOWN_EVENTS))
      throw new Error(`${(error as Error).message}\n${counted}, the latest:\n${latest}`)
    }
  }
}

function inLines(entries: readonly Entry[]): string {
  return entries.map((entry) => JSON.stringify(entry)).join('\n')
}

/** A process that has ended is gone, even if init, whose child it became with its primary's death, is slow to take note. */
function isAlive(pid: number): boolean {
  try {
    return !readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z ')
  } catch {
    return false
  }
}

/** Monotonic ms on the clock of the probe's entries. */
export function monotonicMs(): number {
  return Number(process.hrtime.bigint() / 1000n) / 1000
}

function cleanEnvironment(): NodeJS.ProcessEnv {
  const env = { ...process.env }
  for (const name of ['NODE_TEST_CONTEXT', 'CPU_COUNT', 'CHECK_INTERVAL', 'KILL_TIMEOUT', 'START_TIMEOUT']) {
    delete env[name]
  }
  return env
}
