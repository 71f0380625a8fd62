import { cpSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'

export const repository = join(__dirname, '../../..')

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
