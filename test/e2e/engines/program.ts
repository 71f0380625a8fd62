import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { runToEnd } from '../../harness/program'
import { makeApplication } from '../../packages/application'

const FIXTURES = join(__dirname, 'programs')

/** Where the optional packages are installed for this Node, or `undefined`. */
export const packagesDirectory = process.env['CMM_TEST_PACKAGES']

/** Why a package cannot be tested here, or `false`: the form that node:test's `skip` takes. */
export function missing(name: string): string | false {
  if (packagesDirectory === undefined)
    return 'CMM_TEST_PACKAGES names no directory: see test/packages/install.mjs'
  const built = existsSync(join(packagesDirectory, 'node_modules', name))
  return built ? false : `${name} is not built for Node ${process.version}`
}

/** What a finished program left: its report, and the names of the files in its directory. */
export interface Finished<Report> {
  readonly report: Report
  readonly directory: string
  readonly files: readonly string[]
}

/**
 * Runs a program of test/e2e/engines/programs with a fresh directory for its dumps, and hands what it left to `check`. It runs as
 * part of an application that has installed `options.packages` (sources by name), by default the optional packages. The
 * program must end by itself with code 0 and write nothing to stderr.
 */
export async function withProgram<Report>(
  program: string,
  { packages, ...options }: Readonly<Record<string, unknown>> & { packages?: Record<string, string> },
  check: (finished: Finished<Report>) => void | Promise<void>,
): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'cmm-capture-'))
  const application = mkdtempSync(join(tmpdir(), 'cmm-application-'))
  try {
    const main = makeApplication(application, packages ?? packagesDirectory)
    const { code, stdout, stderr } = await runToEnd(
      [process.execPath, main, join(FIXTURES, program), JSON.stringify({ directory, ...options })],
      { cwd: directory, env: withoutCoverage() },
    )
    assert.deepEqual([code, stderr], [0, ''])
    const report = JSON.parse(stdout.trimEnd().split('\n').at(-1) ?? '') as Report & { thrown?: string }
    assert.equal(report.thrown, undefined)
    const files = existsSync(directory) ? readdirSync(directory).sort() : []
    await check({ report, directory, files })
  } finally {
    rmSync(directory, { recursive: true, force: true })
    rmSync(application, { recursive: true, force: true })
  }
}

/** A CPU profile ends V8's coverage of its process, so that what these programs would report is useless. */
function withoutCoverage(): NodeJS.ProcessEnv {
  const env = { ...process.env }
  delete env['NODE_V8_COVERAGE']
  delete env['NODE_OPTIONS']
  return env
}
