import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'

export const repository = resolve(__dirname, '../../..')

/** The preload as NODE_OPTIONS names it. */
export const REGISTER = join(repository, 'dist', 'register.js')

/** A command that knows nothing of the monitor. */
export interface Foreign {
  readonly name: string
  readonly file: string
  readonly args: readonly string[]
  readonly cwd?: string
  readonly env?: NodeJS.ProcessEnv
  /** Ends the command, after it has printed something. */
  readonly killedBy?: NodeJS.Signals
}

interface Outcome {
  readonly status: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

const TIMEOUT_MS = 120_000

/**
 * Runs a command without and with the preload, each in the same empty directory unless it has one of its own.
 *
 * @throws AssertionError when they differ in output, exit code or signal, or when a file was left.
 */
export function assertTwins(command: Foreign, register = REGISTER): void {
  const directory = mkdtempSync(join(tmpdir(), 'foreign-'))
  try {
    const without = run(command, command.cwd ?? directory, '')
    const withIt = run(command, command.cwd ?? directory, `--require ${register}`)
    assert.deepEqual(withIt, without)
    assert.deepEqual(readdirSync(directory), [])
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

/** @returns What the command did, with the variables of this run left out. */
export function run({ file, args, env }: Foreign, cwd: string, nodeOptions: string): Outcome {
  const inherited = Object.entries(process.env).filter(
    ([name]) => !/^(CMM_|NODE_|npm_|npm$|INIT_CWD|FORCE_COLOR|NO_COLOR)/.test(name),
  )
  const result = spawnSync(file, [...args], {
    cwd,
    env: { ...Object.fromEntries(inherited), CI: '1', NO_COLOR: '1', ...env, NODE_OPTIONS: nodeOptions },
    encoding: 'utf8',
    timeout: TIMEOUT_MS,
    maxBuffer: 64 * 1024 * 1024,
  })
  if (result.error) throw result.error
  const { status, signal, stdout, stderr } = result
  return { status, signal, stdout: withoutTimes(stdout), stderr: withoutTimes(stderr) }
}

/** Times, process ids and temporary names differ from run to run, with the monitor or without. */
function withoutTimes(text: string): string {
  return text
    .replace(/\d{4}-\d\d-\d\dT[\d_]+Z/g, '<time>')
    .replace(/\d\d:\d\d:\d\d(\.\d+)?/g, '<time>')
    .replace(/\b\d+(\.\d+)? ?m?s\b/g, '<time>')
    .replace(/(duration_ms:?) [\d.]+/g, '$1 <time>')
    .replace(/ *\(<time>\)|, estimated <time>/g, '')
    .replace(/\(node:\d+\)/g, '(node:<pid>)')
    .replace(/\d+\.\d+(?= *(%|MB|kB))/g, '<size>')
}
