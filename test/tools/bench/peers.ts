import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'

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
 *
 * @param peer - With its exact version: `name@1.2.3` or `@scope/name@1.2.3`.
 * @param scripts - Whether its install scripts run, which compile it.
 */
export function install(peer: string, { scripts = false } = {}): Installed | NotInstalled {
  const directory = `${__dirname}/.built/${scripts ? `compiled-${process.versions.modules}/` : ''}${peer}`
  const modules = join(directory, 'node_modules')
  if (isThere(modules, peer)) return { modules }
  // Leftovers of an interrupted attempt would count as an installed package.
  rmSync(directory, { recursive: true, force: true })
  mkdirSync(directory, { recursive: true })
  writeFileSync(join(directory, 'package.json'), JSON.stringify({ private: true }))
  const { status, stderr, error } = spawnSync('npm', installArguments(peer, scripts), {
    cwd: directory,
    encoding: 'utf8',
    timeout: INSTALL_MS,
    env: installEnvironment(),
  })
  if (status === 0) return { modules }
  const why = error?.message ?? firstError(stderr) ?? `npm ended with ${status}`
  return { reason: `not installed: ${why}` }
}

export function installArguments(peer: string, scripts: boolean): string[] {
  const scriptsOrNot = scripts ? ['--ignore-scripts=false', '--foreground-scripts'] : ['--ignore-scripts']
  return ['install', peer, '--save-exact', ...scriptsOrNot, '--no-audit', '--no-fund', '--prefix', '.']
}

/** A parent npm passes on its own configuration. Headers beside the binary spare the compilers a download. */
export function installEnvironment(): NodeJS.ProcessEnv {
  const headers = resolve(process.execPath, '../..')
  const inherited = Object.entries(process.env).filter(
    ([name]) => !/^npm_(config_|package_|lifecycle)/.test(name),
  )
  const hasHeaders = existsSync(join(headers, 'include/node/node.h'))
  return { ...Object.fromEntries(inherited), ...(hasHeaders ? { npm_config_nodedir: headers } : {}) }
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
