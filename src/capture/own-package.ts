import { readFileSync } from 'node:fs'
import { isAbsolute, join, sep } from 'node:path'
import { parseJson } from '../base/globals'

const PACKAGE_NAME = 'cpu-memory-monitor'
/**
 * Files of this package that may contain this code: the module's own file, and each file into which the build bundles the
 * module. If an application's bundler has copied the code, it runs from a file that is not in this list.
 */
const OWN_PATHS = [
  ['dist', 'index.js'],
  ['dist', 'cluster', 'index.js'],
  ['dist', 'doctor', 'index.js'],
  ['dist', 'monitor', 'start', 'start.js'],
  ['dist', 'thread', 'watchdog-thread.js'],
  ['dist', 'hooks', 'redis', 'index.js'],
  ['dist', 'hooks', 's3', 'index.js'],
  ['dist', 'hooks', 's3', 'upload-thread.js'],
  ['dist', 'capture', 'own-package.js'],
].map((names) => join(...names))

/**
 * Returns the directory of this package, from which its threads and native code are loaded by full path.
 *
 * @throws Error when this code is not in a file of its package, because an application's bundler copied it. The files
 * beside such a bundle are not this package's, and another user may be able to put files there.
 */
export function ownPackageDirectory(): string {
  const ownPath = OWN_PATHS.find((path) => __filename.endsWith(`${sep}${path}`))
  if (!isAbsolute(__filename) || ownPath === undefined) throw notThere()
  const directory = __filename.slice(0, -ownPath.length)
  const { name } = parseJson(readFileSync(join(directory, 'package.json'), 'utf8')) as { name?: unknown }
  if (name !== PACKAGE_NAME) throw notThere()
  return directory
}

function notThere(): Error {
  return new Error(
    `${__filename} is not in the package ${PACKAGE_NAME} (was the package bundled? It has to be external: --external of ` +
      'esbuild and ncc, externals of webpack, serverExternalPackages of Next.js)',
  )
}
