import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import path from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** A node_modules parent directory that holds the optional packages. */
const packagesDir = process.env.CMM_TEST_PACKAGES

/** The engines of the behaviour suite; `skip` is the reason that is printed, or `false`. */
export const ENGINES = [
  { engine: 'builtin', skip: false },
  {
    engine: 'packages',
    skip:
      packagesDir === undefined &&
      'NOT TESTED with the memwatch package: CMM_TEST_PACKAGES names no directory that has it in node_modules',
  },
] as const

/**
 * Each GC a full one, one for about each megabyte of garbage. Node 24 would soon create the garbage in the old generation,
 * where a hundred megabytes fit without a GC.
 */
export const FULL_GCS = ['--gc-global', '--max-semi-space-size=1', '--no-allocation-site-pretenuring']

/** Runs a program of test/fixtures/leak under this Node and returns what it printed. It must exit by itself with code 0. */
export async function runFixture(
  file: string,
  args: readonly string[],
  flags: readonly string[] = [],
): Promise<string> {
  const program = path.join(__dirname, '../fixtures/leak', file)
  const env = {
    ...process.env,
    NODE_PATH: packagesDir === undefined ? '' : path.join(packagesDir, 'node_modules'),
  }
  const flagsAndArgs = [...flags, program, ...args]
  const { stdout, stderr } = await run(process.execPath, flagsAndArgs, {
    env,
    timeout: 60_000,
    maxBuffer: 16 * 1024 * 1024,
  })
  assert.equal(stderr, '')
  return stdout
}
