import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const INSTALL_MS = 180_000

export interface Installed {
  /** Its `node_modules`. */
  readonly modules: string
}

export interface NotInstalled {
  readonly reason: string
}

/**
 * Installs a package into a directory of its own, outside of this project's dependencies. One that is there already stays.
 * Install scripts do not run: a package that is compiled goes through `npm run bench -- install`.
 *
 * @param peer - With its exact version: `name@1.2.3` or `@scope/name@1.2.3`.
 */
export function install(peer: string): Installed | NotInstalled {
  const directory = `${__dirname}/.built/${peer}`
  const modules = join(directory, 'node_modules')
  if (isThere(modules, peer)) return { modules }
  // Leftovers of an interrupted attempt would count as an installed package.
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

/** npm's first line is only a code. */
export function firstError(stderr: string): string | undefined {
  return /^npm error (?!code)(.+)$/m.exec(stderr)?.[1]
}

/** The name of a package without its version. */
export function nameOf(peer: string): string {
  return peer.slice(0, peer.lastIndexOf('@'))
}

/** npm writes the lockfile last. */
function isThere(modules: string, peer: string): boolean {
  const file = join(modules, nameOf(peer), 'package.json')
  if (!existsSync(join(modules, '..', 'package-lock.json')) || !existsSync(file)) return false
  return `${nameOf(peer)}@${(JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version}` === peer
}
