import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import type { Dump, Failure, Skip } from '../../../dist/dispatch/events.js'
import type { Sidecar } from '../../../dist/files/sidecar.js'
import { coverTheThread } from '../../harness/cover-the-thread'
import { type Ending, Program, programEnvironment, scratch } from '../../harness/program'

export { scratch }

/** What a program under test/e2e/monitor/programs says, by name. */
export interface Sayings {
  dump: Dump
  skip: Skip
  failure: Failure
  line: { level: 'info' | 'warn' | 'error'; text: string }
  answer: { id: number; output: unknown }
  [other: string]: unknown
}

export interface App {
  readonly pid: number
  /** Where its files go; gone after the test. */
  readonly directory: string
  readonly stdout: () => string
  readonly stderr: () => string
  /** All that it has said under that name so far. */
  said<Name extends keyof Sayings>(name: Name): Sayings[Name][]
  /** Resolves when it has said so many things under that name that the predicate accepts, with the last of them. */
  until<Name extends keyof Sayings>(
    name: Name,
    accepts?: (saying: Sayings[Name]) => boolean,
    times?: number,
  ): Promise<Sayings[Name]>
  /** Has it carry out one of its orders. */
  order<Output = unknown>(order: string, input?: unknown): Promise<Output>
  kill(signal: NodeJS.Signals): void
  /** Resolves when it has ended and its output is closed. */
  readonly ended: Promise<Ending>
}

export interface AppOptions {
  readonly args?: readonly string[]
  readonly execArgv?: readonly string[]
  readonly env?: NodeJS.ProcessEnv
  readonly directory?: string
  /** Without it nothing of the test's keeps the program alive. */
  readonly takesOrders?: boolean
  /** Nobody reads its stderr: each write to it fails. */
  readonly closesStderr?: boolean
  /** How long the program may live in all, ms. */
  readonly lifetimeMs?: number
}

/** Both places where loops and dispatcher may run: what a user notices must not depend on it. */
export const places = [
  { watchdog: true, place: 'on its own thread' },
  { watchdog: false, place: 'on the main thread' },
] as const

export function fixture(name: string): string {
  return join(__dirname, 'programs', name)
}

/** Starts a program in a directory of its own with the monitor's options as its first argument. */
export function startApp(
  t: TestContext,
  program: string,
  options: unknown,
  {
    args = [],
    execArgv = [],
    env = {},
    directory,
    takesOrders = true,
    closesStderr = false,
    lifetimeMs = 120_000,
  }: AppOptions = {},
): App {
  const command = [process.execPath, ...coverTheThread, ...execArgv] as [string, ...string[]]
  const run = new Program(t, [...command, fixture(program), JSON.stringify(options), ...args], {
    ...(directory !== undefined && { cwd: directory }),
    env: programEnvironment(env),
    stdio: ['ignore', 'pipe', 'pipe', ...(takesOrders ? (['ipc'] as const) : [])],
    lifetimeMs,
    // A program that takes orders ends by one: then what it ran counts as covered.
    beforeKill: async ({ child, ended }) => {
      if (!child.connected) return
      child.send({ order: 'end' }, () => undefined)
      await Promise.race([ended, pause(3000)])
    },
  })
  if (closesStderr) run.child.stderr?.destroy()

  const said: App['said'] = (wanted) =>
    run.said.filter(({ name }) => name === wanted).map((object) => withoutName(object) as never)
  const until: App['until'] = (name, accepts = () => true, times = 1) =>
    run.until(`${program} says '${name}'`, () => said(name).filter(accepts)[times - 1], {
      timeoutMs: lifetimeMs,
    })
  let lastId = 0
  return {
    pid: run.pid,
    directory: run.directory,
    stdout: () => run.stdout,
    stderr: () => run.stderr,
    said,
    until,
    async order<Output>(order: string, input?: unknown) {
      const id = ++lastId
      run.child.send({ id, order, input })
      const { output: answer } = await until('answer', (each) => each.id === id)
      return answer as Output
    },
    kill: (signal) => void process.kill(run.pid, signal),
    ended: run.ended,
  }
}

/**
 * Names of the files of that kind in the program's directory, whole or not. The trial by which a directory is found writable
 * is none of them: it is gone at once, unless the program ends or a test looks in that instant.
 */
export function files({ directory }: { readonly directory: string }, part = ''): string[] {
  return readdirSync(directory)
    .filter((name) => name.includes(part) && !name.startsWith('.cpu-memory-monitor-'))
    .sort()
}

/** Names of the artefacts under their final names. */
export function artefacts(app: { readonly directory: string }, prefix = ''): string[] {
  return files(app).filter(
    (name) => name.startsWith(prefix) && /\.(cpuprofile|heapsnapshot|heapprofile)$/.test(name),
  )
}

export function sidecarOf(file: string): Sidecar {
  return JSON.parse(readFileSync(`${file}.json`, 'utf8')) as Sidecar
}

function withoutName(object: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(object).filter(([key]) => key !== 'name'))
}
