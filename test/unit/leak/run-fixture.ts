import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { runToEnd } from '../../harness/program'
import { makeApplication } from '../../packages/application'

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

/**
 * Runs a program of test/unit/leak/programs under this Node, in an application that has the optional packages, and returns what it
 * printed. It must exit by itself with code 0.
 */
export async function runFixture(
  file: string,
  args: readonly string[],
  flags: readonly string[] = [],
): Promise<string> {
  const program = path.join(__dirname, 'programs', file)
  const application = mkdtempSync(path.join(tmpdir(), 'cmm-leak-'))
  try {
    const main = makeApplication(application, packagesDir)
    const { code, stdout, stderr } = await runToEnd([process.execPath, ...flags, main, program, ...args])
    assert.deepEqual([code, stderr], [0, ''])
    return stdout
  } finally {
    rmSync(application, { recursive: true, force: true })
  }
}
