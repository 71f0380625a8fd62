import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Absent } from './figures'

const INSTALL_MS = 180_000

export interface Installed {
  /** Its `node_modules`. */
  readonly modules: string
}

/**
 * Installs a package into a directory of its own, outside of this project's dependencies. What is there already stays.
 *
 * @param peer - With its exact version: `name@1.2.3`.
 */
export function install(peer: string): Installed | Absent {
  const directory = `${__dirname}/../.built/${peer}`
  const modules = join(directory, 'node_modules')
  if (isThere(modules, peer)) return { modules }
  // What an attempt that was broken off has left would count as there.
  rmSync(directory, { recursive: true, force: true })
  mkdirSync(directory, { recursive: true })
  writeFileSync(join(directory, 'package.json'), JSON.stringify({ private: true }))
  const args = [
    'install',
    peer,
    '--save-exact',
    '--ignore-scripts',
    '--no-audit',
    '--no-fund',
    '--prefix',
    '.',
  ]
  const { status, stderr, error } = spawnSync('npm', args, {
    cwd: directory,
    encoding: 'utf8',
    timeout: INSTALL_MS,
  })
  if (status === 0) return { modules }
  const why = error?.message ?? firstError(stderr) ?? `npm ended with ${status}`
  return { reason: `not installed: ${why}` }
}

/** Its first line is but a code. */
function firstError(stderr: string): string | undefined {
  return /^npm error (?!code)(.+)$/m.exec(stderr)?.[1]
}

/** npm writes the lockfile last. */
function isThere(modules: string, peer: string): boolean {
  const [name, version] = peer.split('@')
  const file = join(modules, name ?? '', 'package.json')
  if (!existsSync(join(modules, '..', 'package-lock.json')) || !existsSync(file)) return false
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version === version
}
