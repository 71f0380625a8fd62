// Programs in C that a test needs.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'

const CC = process.env['CC'] ?? 'cc'

/** For the `skip` of a test that compiles something. */
export const noCompiler = spawnSync(CC, ['--version']).status === 0 ? false : `no C compiler: ${CC}`

/** Compiles a program into a file. */
export function compileTo(file: string, source: string, ...flags: string[]): void {
  const { status, stderr } = spawnSync(CC, ['-Wall', '-Wextra', ...flags, '-o', file, source], {
    encoding: 'utf8',
  })
  assert.equal(status, 0, stderr)
}
