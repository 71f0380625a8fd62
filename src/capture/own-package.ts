import { readFileSync } from 'node:fs'
import { isAbsolute, join, sep } from 'node:path'

const PACKAGE_NAME = 'cpu-memory-monitor'
/** Where this file lies in the package. A bundler puts the code into a file of another name, in a directory of the application. */
const OWN_PATH = join('dist', 'capture', 'own-package.js')

/**
 * The directory of this package. Code is loaded from it by full path, and from nowhere else.
 *
 * @throws Error when this code does not lie in its package. The files around a bundle are not ours: another user may be able
 * to put some there.
 */
export function ownPackageDirectory(): string {
  if (!isAbsolute(__filename) || !__filename.endsWith(`${sep}${OWN_PATH}`)) throw notThere()
  const directory = __filename.slice(0, -OWN_PATH.length)
  const { name } = JSON.parse(readFileSync(join(directory, 'package.json'), 'utf8')) as { name?: unknown }
  if (name !== PACKAGE_NAME) throw notThere()
  return directory
}

function notThere(): Error {
  return new Error(`${__filename} is not in the package ${PACKAGE_NAME} (was the package bundled?)`)
}
