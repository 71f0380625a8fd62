import assert from 'node:assert/strict'
import { type ChildProcess, spawn, type SpawnOptions } from 'node:child_process'
import { cpSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'

/** The package, and where the programs of these tests are. */
export const PACKAGE = findPackage(__dirname)
export const PROGRAMS = join(__dirname, 'programs')

/** A dump or a reason why there is none, as the monitor's methods resolve to. */
export type Result =
  | { readonly file: string; readonly files: readonly string[]; readonly way: string }
  | { readonly skipped: string; readonly message?: string }

export interface Victim {
  readonly pid: number
  /** Payloads of an event, or lines, so far. */
  dumps(): { file: string; files: string[]; sizeBytes: number; way: string; rule: string }[]
  failures(): { stage: string; message: string }[]
  lines(): string[]
  /** Messages of workers that reached the application in the primary. */
  heard(): unknown[]
  order<Output = Result>(order: string, input?: unknown): Promise<Output>
  until(what: string, isTrue: () => boolean): Promise<void>
  /** What it wrote to stdout and stderr. */
  output(): string
  readonly ended: Promise<{ code: number | null; signal: NodeJS.Signals | null }>
  readonly child: ChildProcess
}

export interface VictimOptions {
  readonly program?: string
  readonly args?: readonly string[]
  readonly execArgv?: readonly string[]
  readonly env?: NodeJS.ProcessEnv
  readonly cwd?: string
  readonly spawn?: SpawnOptions
  /** The command before Node, such as `prlimit`. */
  readonly under?: readonly string[]
}

/** Longer than anything that ends by itself takes on a busy machine: only what hangs gets here. */
const PATIENCE_MS = 100_000

/** Starts `victim.js`, or a program that speaks like it; it is up when this resolves. */
export async function startVictim(
  t: TestContext,
  options: unknown,
  more: VictimOptions = {},
): Promise<Victim> {
  const { program = join(PROGRAMS, 'victim.js'), args = [], execArgv = [], env = {}, under = [] } = more
  const argv = [...under, process.execPath, ...execArgv, program, JSON.stringify(options), ...args]
  const [command = '', ...rest] = argv
  const child = spawn(command, rest, {
    cwd: more.cwd ?? '/',
    env: { ...cleanEnvironment(), ...env },
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    ...more.spawn,
  })
  const said: { name: string; id?: number; output?: unknown; payload?: unknown; text?: string }[] = []
  const watchers = new Set<() => void>()
  const notify = (): void => watchers.forEach((watcher) => watcher())
  let output = ''
  let isOver = false
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk) => (output += String(chunk)))
  child.on('message', (message: (typeof said)[number]) => {
    said.push(message)
    notify()
  })
  const ended: Victim['ended'] = new Promise((resolve) => {
    child.on('close', (code, signal) => {
      isOver = true
      resolve({ code, signal })
      notify()
    })
  })
  t.after(async () => {
    child.kill('SIGKILL')
    await ended
  })
  const until: Victim['until'] = (what, isTrue) =>
    new Promise((resolve, reject) => {
      const story = (): string => `${what}\n${said.map((one) => one.text ?? '').join('\n')}\n${output}`
      const finish = (settle: () => void): void => {
        watchers.delete(look)
        clearTimeout(timer)
        settle()
      }
      const look = (): void => {
        if (isTrue()) finish(resolve)
        else if (isOver) finish(() => reject(new Error(`it ended before: ${story()}`)))
      }
      const timer = setTimeout(() => {
        finish(() => reject(new Error(`waited ${PATIENCE_MS} ms for: ${story()}`)))
      }, PATIENCE_MS)
      watchers.add(look)
      look()
    })
  const payloads = (name: string): never[] =>
    said.filter((one) => one.name === name).map(({ payload }) => payload as never)
  let lastId = 0
  const victim: Victim = {
    pid: child.pid ?? 0,
    child,
    ended,
    until,
    output: () => output,
    dumps: () => payloads('dump'),
    failures: () => payloads('failure'),
    heard: () => payloads('foreign'),
    lines: () => said.filter(({ name }) => name === 'line').map((one) => one.text ?? ''),
    async order<Output>(order: string, input?: unknown) {
      const id = ++lastId
      const answer = (): (typeof said)[number] | undefined => said.find((one) => one.id === id)
      child.send({ id, order, input })
      await until(`the answer to ${order}`, () => answer() !== undefined)
      return answer()?.output as Output
    },
  }
  await victim.until('the program to be up', () => said.some(({ name }) => name === 'up'))
  return victim
}

export interface Installation {
  /** Where programs of the application lie; `node_modules` is below. */
  readonly directory: string
  /** The application's program: a copy of `victim.js`. */
  readonly program: string
}

/** Installs the package, as npm would, into an application's directory. */
export function install(
  parent: string,
  { helper = true, packages = [] }: { helper?: boolean; packages?: readonly string[] } = {},
): Installation {
  const directory = join(parent, 'app')
  const modules = join(directory, 'node_modules')
  const target = join(modules, 'cpu-memory-monitor')
  mkdirSync(target, { recursive: true })
  for (const part of ['dist', 'package.json', ...(helper ? ['prebuilds'] : [])])
    cpSync(join(PACKAGE, part), join(target, part), { recursive: true })
  const { dependencies } = JSON.parse(readFileSync(join(PACKAGE, 'package.json'), 'utf8')) as {
    dependencies: Record<string, string>
  }
  for (const name of Object.keys(dependencies))
    symlinkSync(join(PACKAGE, 'node_modules', name), join(modules, name))
  for (const name of packages) symlinkSync(join(testPackages() ?? '', name), join(modules, name))
  const program = join(directory, 'victim.js')
  cpSync(join(PROGRAMS, 'victim.js'), program)
  return { directory, program }
}

/** Where heapdump and the other optional packages are built for this Node, if they are. */
export function testPackages(): string | undefined {
  const built = process.env['CMM_TEST_PACKAGES']
  return built === undefined ? undefined : join(built, 'node_modules')
}

/** A package that tells, by a line in `mark`, who loaded it. */
export function plantPackage(modules: string, name: string, mark: string): void {
  const directory = join(modules, name)
  mkdirSync(directory, { recursive: true })
  writeFileSync(
    join(directory, 'index.js'),
    `require('node:fs').appendFileSync(${JSON.stringify(mark)}, '${name} as ' + process.getuid() + '\\n')\n` +
      `module.exports = new (require('node:events'))()\n` +
      `module.exports.writeSnapshot = (file, done) => done(new Error('not a package'))\n`,
  )
}

/** Files of that kind in the directory. */
export function filesIn(directory: string, part = ''): string[] {
  return readdirSync(directory)
    .filter((name) => name.includes(part))
    .sort()
}

/** Pids of the forked children of that process. */
export function childrenOf(parent: number): number[] {
  // Those of the main thread, which is the one that forks.
  const pids = textOf(`/proc/${parent}/task/${parent}/children`).split(' ').filter(Boolean)
  return pids.map(Number).filter((pid) => {
    const [, state] = /\) (.)/s.exec(textOf(`/proc/${pid}/stat`)) ?? []
    return state !== undefined && state !== 'Z'
  })
}

export async function until<T>(what: string, look: () => T | undefined): Promise<T> {
  for (let round = 0; round < PATIENCE_MS / 5; round++) {
    const found = look()
    if (found !== undefined) return found
    await sleep(5)
  }
  throw new Error(`did not come: ${what}`)
}

export function isDump(result: Result): result is Extract<Result, { file: string }> {
  assert.ok(result !== undefined)
  return 'file' in result
}

function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return ''
  }
}

export function cleanEnvironment(): NodeJS.ProcessEnv {
  const dropped = [
    'NODE_TEST_CONTEXT',
    'NODE_V8_COVERAGE',
    'NODE_OPTIONS',
    'NODE_CHANNEL_FD',
    'CMM_TEST_PACKAGES',
  ]
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !dropped.includes(name)))
}

/** The folder above that has the package's own package.json. */
function findPackage(directory: string): string {
  const names = readdirSync(directory)
  return names.includes('package.json') && names.includes('src')
    ? directory
    : findPackage(join(directory, '..'))
}
