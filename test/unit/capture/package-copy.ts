import { cpSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'

export const repository = join(__dirname, '../../..')

/** A directory that is gone after the test. */
export function temporaryDirectory(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'cmm-loading-'))
  t.after(() => rmSync(directory, { recursive: true, force: true }))
  return directory
}

/**
 * Installs the built package in an application, by default without the fork helper, so that snapshots are taken in place.
 *
 * @returns The package's directory.
 */
export function installLibrary(application: string, parts: readonly string[] = []): string {
  const directory = join(application, 'node_modules', 'cpu-memory-monitor')
  for (const part of ['dist', 'package.json', ...parts]) {
    cpSync(join(repository, part), join(directory, part), { recursive: true })
  }
  symlinkSync(join(repository, 'node_modules'), join(directory, 'node_modules'))
  return directory
}
