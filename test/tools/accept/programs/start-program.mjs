import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

const fixtures = join(dirname(fileURLToPath(import.meta.url)), '../../../e2e/monitor/programs')

/**
 * Starts a program of the end-to-end tests in a directory of its own.
 *
 * @returns What it has said so far, by name; how to end it; a promise of its end. Its directory goes with it.
 */
export function startProgram(program, options, ...args) {
  const directory = mkdtempSync(join(tmpdir(), 'accept-'))
  const child = spawn(process.execPath, [join(fixtures, program), JSON.stringify(options), ...args], {
    cwd: directory,
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
  })
  const sayings = []
  createInterface({ input: child.stdout }).on('line', (line) => sayings.push(JSON.parse(line)))
  process.once('exit', () => child.kill('SIGKILL'))
  return {
    directory,
    said: (name) => sayings.filter((saying) => saying.name === name),
    end: () => child.send({ order: 'end' }),
    ended: new Promise((resolve) => child.on('close', (code, signal) => resolve({ code, signal }))),
    forget: () => rmSync(directory, { recursive: true, force: true }),
  }
}
