import { type ChildProcess, execFile, spawn, type StdioOptions } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import type { TestContext } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'

/** Longer than anything takes that comes at all on a busy machine, ms. */
export const PATIENCE_MS = 100_000
/** A program that lives longer is killed, ms: every wait for it then fails. */
export const LIFETIME_MS = 200_000
/** What makes no event, such as a file, is looked for this often, ms. */
const LOOK_MS = 25
/** Lines of a program's output that the message of a failure shows: a long run prints tens of thousands. */
const STORY_LINES = 200

export interface ProgramOptions {
  /** @default a directory that is gone after the test */
  readonly cwd?: string
  /** The whole environment. @default that of the test, without the test runner's variables */
  readonly env?: NodeJS.ProcessEnv
  readonly stdio?: StdioOptions
  /** In a process group of its own, which ends as a whole. */
  readonly detached?: boolean
  readonly lifetimeMs?: number
  /** Called after the test, before the program is killed; it may make the program end by itself. */
  readonly beforeKill?: (program: Program) => Promise<void> | void
}

export interface Ending {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

/** A program that runs as a child process, and is gone after the test. */
export class Program {
  readonly child: ChildProcess
  readonly directory: string
  /** The JSON objects that it printed to its standard output so far, one a line. */
  readonly said: Record<string, unknown>[] = []
  stdout = ''
  stderr = ''
  /** Resolves when it has ended and its output is closed. */
  readonly ended: Promise<Ending>
  readonly #watchers = new Set<() => void>()
  readonly #isGroup: boolean
  readonly #lifetimeMs: number
  #hasEnded = false
  #isOverdue = false

  constructor(
    t: TestContext,
    [file, ...args]: readonly [string, ...string[]],
    {
      cwd,
      env = programEnvironment(),
      stdio = 'pipe',
      detached = false,
      lifetimeMs = LIFETIME_MS,
      beforeKill,
    }: ProgramOptions = {},
  ) {
    this.directory = cwd ?? scratch(t)
    this.#isGroup = detached
    this.#lifetimeMs = lifetimeMs
    this.child = spawn(file, args, { cwd: this.directory, env, stdio, detached })
    // A program that ends before it has read everything is no failure of the test.
    this.child.stdin?.on('error', () => undefined)
    this.child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.stderr += text
      this.#look()
    })
    this.readLines(this.child.stdout, (object) => this.said.push(object))
    this.child.stdout?.setEncoding('utf8').on('data', (text: string) => (this.stdout += text))
    const exited = new Promise<void>((resolve) => {
      this.child.once('exit', () => {
        resolve()
        this.#look()
      })
    })
    this.ended = new Promise((resolve) => {
      this.child.once('close', (code, signal) => {
        this.#hasEnded = true
        resolve({ code, signal })
        this.#look()
      })
    })
    const tooLong = setTimeout(() => {
      this.#isOverdue = true
      this.kill('SIGKILL')
    }, lifetimeMs)
    t.after(async () => {
      clearTimeout(tooLong)
      await beforeKill?.(this)
      this.kill('SIGKILL')
      if (this.pid !== 0) await exited
      // A process that it has left behind may hold the other ends.
      for (const stream of this.child.stdio) stream?.destroy()
    })
  }

  /** 0 if it could not be started. */
  get pid(): number {
    return this.child.pid ?? 0
  }

  /** To the process, or to its whole group; not a failure when it is gone. */
  kill(signal: NodeJS.Signals): void {
    if (this.pid === 0) return
    try {
      process.kill(this.#isGroup ? -this.pid : this.pid, signal)
    } catch {
      // It has ended.
    }
  }

  /** Takes the JSON objects of a stream, one a line; other lines are left out. */
  readLines(stream: Readable | null | undefined, take: (object: Record<string, unknown>) => void): void {
    if (!stream) return
    createInterface({ input: stream }).on('line', (line) => {
      if (!line.startsWith('{')) return
      take(JSON.parse(line) as Record<string, unknown>)
      this.#look()
    })
  }

  /**
   * Resolves with the first value that `look` finds. It is called when the program prints something and when it ends, and
   * from time to time.
   *
   * @param what - What is waited for, for the message of a failure.
   * @param outlives - Goes on looking when the program has ended.
   */
  async until<T>(
    what: string,
    look: () => T | undefined,
    { timeoutMs = PATIENCE_MS, outlives = false }: { timeoutMs?: number; outlives?: boolean } = {},
  ): Promise<T> {
    const givesUpAtMs = performance.now() + timeoutMs
    for (;;) {
      const isLast = this.#hasEnded && !outlives
      const found = look()
      if (found !== undefined) return found
      if (this.#isOverdue)
        throw new Error(`killed after ${this.#lifetimeMs} ms, before: ${what}\n${this.#story()}`)
      if (isLast) throw new Error(`it ended with ${this.#exit()} before: ${what}\n${this.#story()}`)
      if (performance.now() > givesUpAtMs)
        throw new Error(`waited ${timeoutMs} ms for: ${what}\n${this.#story()}`)
      await this.#change()
    }
  }

  async #change(): Promise<void> {
    let wake = (): void => undefined
    const change = new Promise<void>((resolve) => {
      wake = resolve
      this.#watchers.add(resolve)
    })
    await Promise.race([change, pause(LOOK_MS)])
    this.#watchers.delete(wake)
  }

  #look(): void {
    for (const wake of this.#watchers) wake()
  }

  #exit(): string {
    return String(this.child.exitCode ?? this.child.signalCode)
  }

  #story(): string {
    const said = this.said.slice(-STORY_LINES).map((object) => JSON.stringify(object))
    return [...said, ...this.stderr.split('\n').slice(-STORY_LINES)].join('\n')
  }
}

export interface Finished extends Ending {
  readonly stdout: string
  readonly stderr: string
}

/** Runs a program to its end; it is killed when that takes too long. */
export function runToEnd(
  [file, ...args]: readonly string[],
  { timeoutMs = 120_000, ...options }: Pick<ProgramOptions, 'cwd' | 'env'> & { timeoutMs?: number } = {},
): Promise<Finished> {
  const limits = { timeout: timeoutMs, killSignal: 'SIGKILL', maxBuffer: 64 * 1024 * 1024 } as const
  return new Promise((resolve, reject) => {
    const child = execFile(file ?? '', args, { ...options, ...limits }, (error, stdout, stderr) => {
      const { exitCode: code, signalCode: signal } = child
      // It could not be started, or printed too much.
      if (error && code === null && signal === null) reject(new Error(error.message, { cause: error }))
      else resolve({ code, signal, stdout, stderr })
    })
  })
}

/** A directory that is gone after the test. */
export function scratch(t: TestContext, prefix = 'test-'): string {
  const directory = mkdtempSync(join(tmpdir(), prefix))
  t.after(() => rmSync(directory, { recursive: true, force: true }))
  return directory
}

const OF_THE_RUNNER = ['NODE_CHANNEL_FD', 'NODE_OPTIONS', 'NODE_TEST_CONTEXT', 'NODE_V8_COVERAGE']

/** The environment without what the test runner and coverage put there: it would change what a program does. */
export function programEnvironment(more: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv {
  const inherited = Object.entries(process.env).filter(
    // `CMM_*` are settings of the suite here, and would be taken for settings of a monitor there.
    ([name]) => !OF_THE_RUNNER.includes(name) && !name.startsWith('CMM_'),
  )
  return { ...Object.fromEntries(inherited), ...more }
}
