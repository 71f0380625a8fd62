import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { TestContext } from 'node:test'
import { coverTheThread } from '../../harness/cover-the-thread'
import type { Dump, Failure, Skip } from '../../../dist/dispatch/events.js'
import type { Sidecar } from '../../../dist/files/sidecar.js'

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
  readonly ended: Promise<{ code: number | null; signal: NodeJS.Signals | null }>
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

/** A directory of the test's own, gone after it. */
export function scratch(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'e2e-'))
  t.after(() => rmSync(directory, { recursive: true, force: true }))
  return directory
}

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
  const cwd = directory ?? scratch(t)
  const argv = [...coverTheThread, ...execArgv, fixture(program), JSON.stringify(options), ...args]
  const child = spawn(process.execPath, argv, {
    cwd,
    env: { ...withoutTestRunner(process.env), ...env },
    stdio: ['ignore', 'pipe', 'pipe', ...(takesOrders ? (['ipc'] as const) : [])],
    timeout: lifetimeMs,
    killSignal: 'SIGKILL',
  })
  const { stdout, stderr, pid } = child
  assert.ok(stdout && stderr && pid !== undefined)

  if (closesStderr) stderr.destroy()

  const output = { stdout: '', stderr: '' }
  const sayings: { name: string; saying: unknown }[] = []
  const watchers = new Set<() => void>()
  stderr.on('data', (chunk) => (output.stderr += String(chunk)))
  createInterface({ input: stdout }).on('line', (text) => {
    output.stdout += `${text}\n`
    if (!text.startsWith('{"name"')) return
    const { name, ...saying } = JSON.parse(text) as { name: string }
    sayings.push({ name, saying })
    for (const watcher of [...watchers]) watcher()
  })
  let isOver = false
  const ended: App['ended'] = new Promise((resolve) => {
    child.on('close', (code, signal) => {
      isOver = true
      resolve({ code, signal })
      for (const watcher of [...watchers]) watcher()
    })
  })
  t.after(async () => {
    // A program that takes orders ends by one: then what it ran counts as covered.
    if (child.connected) child.send({ order: 'end' }, () => undefined)
    const patience = setTimeout(() => child.kill('SIGKILL'), takesOrders ? 3000 : 0)
    await ended
    clearTimeout(patience)
  })

  const said: App['said'] = (name) =>
    sayings.filter((each) => each.name === name).map(({ saying }) => saying as never)
  const until: App['until'] = (name, accepts = () => true, times = 1) =>
    new Promise((resolve, reject) => {
      const look = () => {
        const found = said(name).filter(accepts)
        const last = found[times - 1]
        if (last === undefined && !isOver) return
        watchers.delete(look)
        if (last !== undefined) resolve(last)
        else reject(new Error(`${program} ended before it said '${name}'\n${output.stdout}${output.stderr}`))
      }
      watchers.add(look)
      look()
    })
  let lastId = 0
  return {
    pid,
    directory: cwd,
    stdout: () => output.stdout,
    stderr: () => output.stderr,
    said,
    until,
    async order<Output>(order: string, input?: unknown) {
      const id = ++lastId
      child.send({ id, order, input })
      const { output: answer } = await until('answer', (each) => each.id === id)
      return answer as Output
    },
    kill: (signal) => void process.kill(pid, signal),
    ended,
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

/** The node:test runner tells its children by a variable to report to it; a program under test must not. */
function withoutTestRunner(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const dropped = [
    'NODE_TEST_CONTEXT',
    'NODE_V8_COVERAGE',
    'NODE_OPTIONS',
    'NODE_CHANNEL_FD',
    'CMM_TEST_PACKAGES',
  ]
  return Object.fromEntries(Object.entries(env).filter(([name]) => !dropped.includes(name)))
}
