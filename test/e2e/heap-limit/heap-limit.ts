import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'
import { it as once, type TestContext, type TestOptions } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { artefacts, files, scratch } from '../monitor/app'

export const programs = join(__dirname, 'programs')

/** The monitor as most tests want it. */
export const WATCHED = { memory: {}, signal: false }

export interface DyingOptions {
  readonly shape?: string
  /** The monitor's options; `'none'`: a twin without the monitor. */
  readonly options?: unknown
  readonly limitMb?: number
  readonly execArgv?: readonly string[]
  readonly env?: NodeJS.ProcessEnv
  readonly directory?: string
  readonly program?: string
  readonly args?: readonly string[]
  /** Runs the program through this command, e.g. `unshare`. */
  readonly through?: readonly string[]
  /** Given the program's pid as soon as it runs. */
  readonly onPid?: (pid: number) => void
}

export interface Death {
  readonly pid: number
  readonly directory: string
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
  /** The line at the limit; there is at most one. */
  readonly line: string | undefined
  /** All of stderr that is not this library's, less what differs from run to run. */
  readonly stderrOfNode: readonly string[]
}

const RUNS = 3

/**
 * Runs a program that fills its heap, and resolves when it has ended. On a busy machine the watch can begin too late for it: then
 * again, twice at most.
 */
export async function die(t: TestContext, options: DyingOptions = {}): Promise<Death> {
  for (let run = 1; ; run++) {
    const death = await dieOnce(t, options)
    if (run === RUNS || !death.line?.includes('the monitor has taken no memory reading yet')) return death
  }
}

async function dieOnce(
  t: TestContext,
  {
    shape = 'burst',
    options = WATCHED,
    limitMb = 20,
    execArgv = [],
    env = {},
    directory = scratch(t),
    program = 'program.js',
    args = [],
    through = [],
    onPid,
  }: DyingOptions,
): Promise<Death> {
  const text = options === 'none' ? 'none' : JSON.stringify(options)
  const node = [process.execPath, `--max-old-space-size=${limitMb}`, ...execArgv]
  const [command = '', ...argv] = [...through, ...node, join(programs, program), shape, text, ...args]
  const child = spawn(command, argv, {
    cwd: directory,
    env: { PATH: process.env['PATH'], ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: 120_000,
    killSignal: 'SIGKILL',
  })
  const output = { stdout: '', stderr: '' }
  child.stdout.on('data', (chunk) => (output.stdout += String(chunk)))
  child.stderr.on('data', (chunk) => (output.stderr += String(chunk)))
  if (child.pid !== undefined) onPid?.(child.pid)
  const { code, signal } = await new Promise<Pick<Death, 'code' | 'signal'>>((resolve) =>
    child.on('close', (code, signal) => resolve({ code, signal })),
  )
  const lines = output.stderr.split('\n')
  const own = lines.filter((line) => line.startsWith('cpu-memory-monitor: the heap has reached'))
  assert.ok(own.length <= 1, `more than one line: ${own.join('\n')}`)
  return {
    ...{ pid: child.pid ?? 0, directory, code, signal, ...output },
    line: own[0],
    stderrOfNode: withoutChance(lines.filter((line) => !line.startsWith('cpu-memory-monitor:')).join('\n')),
  }
}

/** Asserts that two processes died alike, by exit code, signal and output. */
export function diesLike(death: Death, twin: Death): void {
  const way = ({ code, signal, stderrOfNode }: Death): unknown => ({ code, signal, stderrOfNode })
  assert.ok(
    twin.stderrOfNode.some((line) => line.startsWith('FATAL ERROR: ')),
    twin.stderr,
  )
  assert.deepEqual(way(death), way(twin))
}

/**
 * Numbers, addresses and ids differ from run to run; so do the collections that V8 remembers, the functions in which it was, and
 * which of its three fatal errors it reports: that depends on the time that its collections took.
 */
function withoutChance(stderr: string): string[] {
  const lines = stderr
    .replace(/(?<=<--- Last few GCs --->)[^]*?(?=<--- JS stacktrace --->|FATAL ERROR: )/, '\n')
    .replace(/Reached heap limit|Ineffective mark-compacts near heap limit|CALL_AND_RETRY_LAST/, 'The limit')
    .replace(/^ *\d+: .*$/gm, '[frame]')
    .replace(/[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}|0x[\da-f]+|\d+/g, 'N')
    .split('\n')
  return lines.filter((line, at) => line !== '[frame]' || line !== lines[at - 1])
}

/** What is thrown when the child of a process that died has not written what it should. */
class Missing extends Error {}

const DEATHS = 2
/** A child is nicer than the tests beside it, so a busy machine keeps it waiting. */
const PATIENCE_MS = 120_000

/**
 * A test about what a death leaves. A child that needs a thread after its parent has gone cannot be forked again: 117 of 120
 * deaths leave a whole snapshot, by promise (`npm run accept -- heap-limit` counts them). So a child that ended without one is
 * no failure before the second death.
 */
export function it(
  name: string,
  ...rest:
    [(t: TestContext) => Promise<void> | void] | [TestOptions, (t: TestContext) => Promise<void> | void]
): void {
  const [options, body] = rest.length === 1 ? [{}, rest[0]] : rest
  void once(name, options, async (t) => {
    for (let death = 1; ; death++) {
      try {
        return await body(t)
      } catch (error) {
        if (death === DEATHS || !(error instanceof Missing)) throw error
        t.diagnostic(`death ${death}: ${error.message}`)
      }
    }
  })
}

/** Resolves with the names of the artefacts when the child of a process that died has published its snapshot. */
export async function untilWritten(
  death: Pick<Death, 'directory'> & Partial<Death>,
  directory = death.directory,
  snapshots = 1,
): Promise<string[]> {
  return waitFor(death, 'a whole snapshot', () => {
    const names = artefacts({ directory })
    const isWhole = names.filter((name) => name.endsWith('.heapsnapshot')).length >= snapshots
    return isWhole && files({ directory }, '.partial').length === 0 ? names : undefined
  })
}

/** Resolves with the names of both its files when its child has kept them as a `.partial`, without a `.json`. */
export async function untilKept(death: Death): Promise<string[]> {
  return waitFor(death, 'two complete files', () => {
    const names = files(death)
    return names.length === 2 && names.every((name) => name.endsWith('.partial')) ? names : undefined
  })
}

/** Resolves when it has published its profile, which is the first of its files. */
export async function untilProfiled(death: Death): Promise<void> {
  await waitFor(death, 'a profile', () => artefacts(death).find((name) => name.endsWith('.heapprofile')))
}

/** Resolves with the pid of its child when that works on the snapshot. */
export async function untilAtWork(death: Death): Promise<number> {
  return waitFor(death, 'a child at work', () =>
    files(death, '.heapsnapshot.partial').length > 0 ? childIn(death.directory) : undefined,
  )
}

/** A child has the working directory of the process that it was forked from. */
function childIn(directory: string): number | undefined {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .find((pid) => {
      try {
        const isChild = readFileSync(`/proc/${pid}/comm`, 'utf8').startsWith('heap-snapshot')
        return isChild && readlinkSync(`/proc/${pid}/cwd`) === directory
      } catch {
        return false
      }
    })
}

/** Waits for as long as a child works in the directory. */
async function waitFor<T>(
  death: Pick<Death, 'directory'> & Partial<Death>,
  what: string,
  look: () => T | undefined,
): Promise<T> {
  for (const startedAt = Date.now(); ; await sleep(50)) {
    // Before the look: what a child has left as it ended is seen then.
    const isAtWork = childIn(death.directory) !== undefined
    const found = look()
    if (found !== undefined) return found
    if (isAtWork && Date.now() - startedAt < PATIENCE_MS) continue
    const end = isAtWork ? 'the child still works' : 'no child is left'
    throw new Missing(`did not come: ${what}, ${end}; there is ${files(death).join(', ')}\n${death.line}`)
  }
}

export function textOf({ directory }: { readonly directory: string }, extension: string): string {
  const [name = ''] = artefacts({ directory }).filter((each) => each.endsWith(extension))
  return readFileSync(join(directory, name), 'utf8')
}
