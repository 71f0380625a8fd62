import { spawn, type ChildProcessByStdio } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import type { TestContext } from 'node:test'
import { coverTheThread } from '../../harness/cover-the-thread'
import type { Dump, Skip } from '../../../dist/dispatch/events.js'

const FIXTURES = resolve(__dirname, 'programs')
/** Nothing that a program is to say is waited for longer than this, ms. */
const PATIENCE_MS = 30_000
/** A program that runs longer than this is ended, ms: then its exit is not the expected one. */
const MAX_RUN_MS = 60_000

/** What a fixture says on its standard output. */
export interface Said {
  readonly type: string
  readonly line?: string
  readonly level?: string
  readonly dump?: Dump
  readonly skip?: Skip
  readonly failure?: { readonly stage: string; readonly message: string }
  readonly [more: string]: unknown
}

export interface ProgramOptions {
  /** Flags of Node itself. */
  readonly flags?: readonly string[]
  readonly env?: NodeJS.ProcessEnv
  readonly fixture?: string
  readonly args?: readonly string[]
  /** Instead of a fixture: any program, e.g. a bundle. */
  readonly command?: readonly [string, ...string[]]
}

/** A fixture that runs as a child process, in a directory of its own that goes with the test. */
export class WatchedProgram {
  readonly directory: string
  readonly said: Said[] = []
  readonly child: ChildProcessByStdio<Writable, Readable, Readable>
  readonly exited: Promise<{ code: number | null; signal: NodeJS.Signals | null }>
  stderr = ''

  constructor(
    t: TestContext,
    { flags = [], env, fixture = 'watched.js', args = [], command }: ProgramOptions,
  ) {
    this.directory = mkdtempSync(join(tmpdir(), 'watched-'))
    const preload = env ? [] : coverTheThread
    const [program, ...rest] = command ?? [
      ...[process.execPath, ...preload, ...flags],
      ...[join(FIXTURES, fixture), ...args],
    ]
    this.child = spawn(program, rest, {
      cwd: this.directory,
      env: env ?? cleanEnv(),
      stdio: ['pipe', 'pipe', 'pipe'],
    })
    // A child that ends before it has read everything is no failure of the test.
    this.child.stdin.on('error', () => undefined)
    this.child.stderr.on('data', (text: Buffer) => (this.stderr += text.toString()))
    createInterface(this.child.stdout).on('line', (line) => this.said.push(asSaid(line)))
    this.exited = once(this.child, 'close').then(([code, signal]) => ({
      code: code as number | null,
      signal: signal as NodeJS.Signals | null,
    }))
    const tooLong = setTimeout(() => this.child.kill('SIGKILL'), MAX_RUN_MS)
    t.after(async () => {
      clearTimeout(tooLong)
      this.child.kill('SIGCONT')
      this.child.kill('SIGKILL')
      await this.exited
      rmSync(this.directory, { recursive: true, force: true })
    })
  }

  /** Resolves with the first thing said that passes. */
  async hears(passes: (said: Said) => boolean, what = passes.toString()): Promise<Said> {
    await this.#until(() => this.said.some(passes), what)
    return this.said.find(passes) as Said
  }

  hearsType(type: string, times = 1): Promise<Said> {
    return this.hears(
      (said) => said.type === type && this.said.filter((other) => other.type === type).length >= times,
      `${times} × ${type}`,
    )
  }

  /** Resolves when the thread watches. Before that nothing is seen, as it should be. */
  starts(): Promise<Said> {
    return this.hears(({ line }) => /a thread of its own/.test(line ?? ''))
  }

  /** Resolves with the path of the first file of that name. A final name means that the file is whole. */
  async leaves(name: RegExp): Promise<string> {
    await this.#until(() => this.files(name).length > 0, `a file ${name}`)
    return join(this.directory, this.files(name)[0] as string)
  }

  files(name: RegExp = /\.(cpuprofile|heapsnapshot|heapprofile)$/): string[] {
    return readdirSync(this.directory).filter((file) => name.test(file))
  }

  types(type: string): Said[] {
    return this.said.filter((said) => said.type === type)
  }

  async #until(isSo: () => boolean, what: string): Promise<void> {
    const givesUpAt = Date.now() + PATIENCE_MS
    while (!isSo()) {
      if (Date.now() > givesUpAt) throw new Error(`did not come: ${what}\n${this.#story()}`)
      if (this.child.exitCode !== null || this.child.signalCode !== null) {
        await this.exited
        if (isSo()) return
        throw new Error(
          `ended with ${this.child.exitCode ?? this.child.signalCode} before: ${what}\n${this.#story()}`,
        )
      }
      await new Promise((tick) => setTimeout(tick, 25))
    }
  }

  #story(): string {
    return [...this.said.map((said) => JSON.stringify(said)), this.stderr].join('\n')
  }
}

/** Starts `watched.js` with these monitor options; the files go into the program's own directory. */
export function watch(
  t: TestContext,
  options: object,
  way: string,
  { argument = 0, ...rest }: { argument?: number } & ProgramOptions = {},
): WatchedProgram {
  return new WatchedProgram(t, { ...rest, args: [JSON.stringify(options), way, String(argument)] })
}

/** Without what the test runner and coverage put there: it would change what the child does. */
export function cleanEnv(more: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv {
  const unwanted = new Set(['NODE_OPTIONS', 'NODE_V8_COVERAGE', 'NODE_TEST_CONTEXT'])
  const inherited = Object.entries(process.env).filter(([name]) => !unwanted.has(name))
  return { ...Object.fromEntries(inherited), ...more }
}

interface CpuProfile {
  readonly nodes: readonly {
    readonly id: number
    readonly callFrame: { readonly functionName: string }
    readonly hitCount?: number
    readonly children?: readonly number[]
  }[]
  readonly samples: readonly number[]
  readonly timeDeltas: readonly number[]
  readonly startTime: number
  readonly endTime: number
}

/** A profile from disk: parsed whole, so a file cut short throws. */
export function readProfile(file: string): CpuProfile {
  return JSON.parse(readFileSync(file, 'utf8')) as CpuProfile
}

/**
 * Of which the guilty function has more, it is named. On a starved machine much of a profile is V8's own; how much the
 * function has on a machine of its own is judged by `npm run accept -- watchdog-endless`.
 */
export const LEAST_SHARE = 0.1

/** Share of the samples, 0 to 1, that were taken in a function or in what it called. */
export function shareOf({ nodes, samples }: CpuProfile, functionName: string): number {
  const byId = new Map(nodes.map((node) => [node.id, node]))
  const inside = new Set<number>()
  const enter = (id: number) => {
    inside.add(id)
    for (const child of byId.get(id)?.children ?? []) enter(child)
  }
  for (const node of nodes) if (node.callFrame.functionName === functionName) enter(node.id)
  return samples.filter((id) => inside.has(id)).length / samples.length
}

function asSaid(line: string): Said {
  try {
    return JSON.parse(line) as Said
  } catch {
    return { type: 'text', line }
  }
}
