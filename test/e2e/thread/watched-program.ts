import type { ChildProcessByStdio } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import type { Readable, Writable } from 'node:stream'
import type { TestContext } from 'node:test'
import type { Dump, Skip } from '../../../dist/dispatch/events.js'
import { coverTheThread } from '../../harness/cover-the-thread'
import { type Ending, Program } from '../../harness/program'

const FIXTURES = resolve(__dirname, 'programs')

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
  readonly child: ChildProcessByStdio<Writable, Readable, Readable>
  readonly directory: string
  readonly said: readonly Said[]
  readonly exited: Promise<Ending>
  readonly #program: Program

  constructor(
    t: TestContext,
    { flags = [], env, fixture = 'watched.js', args = [], command }: ProgramOptions,
  ) {
    const preload = env ? [] : coverTheThread
    const node = [process.execPath, ...preload, ...flags, join(FIXTURES, fixture), ...args] as const
    this.#program = new Program(t, command ?? node, env ? { env } : {})
    this.child = this.#program.child as ChildProcessByStdio<Writable, Readable, Readable>
    this.directory = this.#program.directory
    this.said = this.#program.said as unknown as Said[]
    this.exited = this.#program.ended
  }

  get stderr(): string {
    return this.#program.stderr
  }

  /** Resolves with the first thing said that passes. */
  hears(passes: (said: Said) => boolean, what = passes.toString()): Promise<Said> {
    return this.#program.until(what, () => this.said.find(passes))
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
  leaves(name: RegExp): Promise<string> {
    return this.#program.until(`a file ${name}`, () => {
      const [file] = this.files(name)
      return file === undefined ? undefined : join(this.directory, file)
    })
  }

  files(name: RegExp = /\.(cpuprofile|heapsnapshot|heapprofile)$/): string[] {
    return readdirSync(this.directory).filter((file) => name.test(file))
  }

  types(type: string): Said[] {
    return this.said.filter((said) => said.type === type)
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
