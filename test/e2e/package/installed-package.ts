import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** The root of the repository. */
export const repository = resolve(__dirname, '../../..')

/** The package as users get it: packed, and installed in an empty project. */
export interface InstalledPackage {
  readonly tarball: string
  /** The empty project. */
  readonly project: string
  /** Runs a program in the project, bounded in time. */
  run(file: string, programArguments: readonly string[]): Promise<{ stdout: string; stderr: string }>
  remove(): void
}

/**
 * Packs `dist` as it is and installs the tarball with `--ignore-scripts`. Packing runs no scripts either: a build would
 * change `dist` under tests that run at the same time.
 */
export async function installPackage(): Promise<InstalledPackage> {
  const folder = mkdtempSync(join(tmpdir(), 'package-'))
  const remove = () => rmSync(folder, { recursive: true, force: true })
  try {
    const packing = await npm(repository, 'pack', '--json', '--ignore-scripts', '--pack-destination', folder)
    const [{ filename }] = JSON.parse(packing.stdout) as [{ filename: string }]
    const tarball = join(folder, filename)
    writeFileSync(join(folder, 'package.json'), JSON.stringify({ name: 'empty', private: true }))
    await npm(folder, 'install', '--ignore-scripts', '--prefer-offline', '--no-audit', '--no-fund', tarball)
    return {
      tarball,
      project: folder,
      run: (file, programArguments) => runIn(folder, file, programArguments),
      remove,
    }
  } catch (error) {
    remove()
    throw error
  }
}

async function npm(folder: string, ...npmArguments: string[]) {
  return runIn(folder, 'npm', npmArguments)
}

// Coverage must not reach programs that take a CPU profile: ending one ends V8's coverage of the process.
async function runIn(folder: string, file: string, programArguments: readonly string[]) {
  return run(file, programArguments, {
    cwd: folder,
    timeout: 120_000,
    env: { ...process.env, NODE_V8_COVERAGE: '' },
  })
}
