import type { ChildProcess } from 'node:child_process'
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Finished, runToEnd } from '../../harness/program'

export const CLI = join(__dirname, '../../../dist/reader/cli.js')
const TEST = join(__dirname, '../..')

/** Runs the built command to its end. */
export function reader(...args: string[]): Promise<Finished> {
  return run([CLI, ...args])
}

/** Starts the built command. */
export function startReader(...args: string[]): ChildProcess {
  return spawn(process.execPath, [CLI, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
}

/** Has a program make artefacts in a process of its own: profiling would spoil the coverage of this one. */
export async function written(program: string, ...args: string[]): Promise<void> {
  const { code, stderr } = await run([join(TEST, program), ...args], { NODE_V8_COVERAGE: '' })
  if (code !== 0) throw new Error(`${program} failed: ${stderr}`)
}

/** A directory that is removed by the function that comes with it. */
export function scratch(): { folder: string; remove: () => void } {
  const folder = mkdtempSync(join(tmpdir(), 'reader-'))
  return { folder, remove: () => rmSync(folder, { recursive: true, force: true }) }
}

function run(args: readonly string[], environment: NodeJS.ProcessEnv = {}): Promise<Finished> {
  return runToEnd([process.execPath, ...args], { env: { ...process.env, ...environment } })
}

/** Runs a command that loads a program first, which is written to that file. */
export function withPreload<T>(file: string, program: string, start: () => T): T {
  writeFileSync(file, program)
  return withOptions(`--require ${file}`, start)
}

/** Runs a command in a heap of so many MB. */
export function withHeap<T>(megabytes: number, start: () => T): T {
  return withOptions(`--max-old-space-size=${megabytes}`, start)
}

function withOptions<T>(options: string, start: () => T): T {
  const before = process.env['NODE_OPTIONS']
  process.env['NODE_OPTIONS'] = options
  try {
    return start()
  } finally {
    if (before === undefined) delete process.env['NODE_OPTIONS']
    else process.env['NODE_OPTIONS'] = before
  }
}
