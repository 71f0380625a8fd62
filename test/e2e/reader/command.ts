import { execFile, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ChildProcess } from 'node:child_process'

const CLI = join(__dirname, '../../../dist/reader/cli.js')
const TEST = join(__dirname, '../..')
const DEADLINE_MS = 120_000

export interface Ended {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** Runs the built command to its end. */
export function reader(...args: string[]): Promise<Ended> {
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

function run(args: readonly string[], environment: NodeJS.ProcessEnv = {}): Promise<Ended> {
  return new Promise((resolve) => {
    const options = {
      timeout: DEADLINE_MS,
      maxBuffer: 64 * 1024 * 1024,
      env: { ...process.env, ...environment },
    }
    execFile(process.execPath, args, options, (error, stdout, stderr) => {
      const code = error === null ? 0 : typeof error.code === 'number' ? error.code : null
      resolve({ code, stdout, stderr })
    })
  })
}
