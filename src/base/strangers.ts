import { lstatSync, statSync } from 'node:fs'
import { createRequire } from 'node:module'
import { basename, dirname } from 'node:path'

/**
 * Returns the first existing path of a list that belongs to an untrusted user. Trusted users are root, the user of this process, and
 * the owner of the file `place`, which runs already. A symbolic link is judged by its own owner. Nothing is opened: another user can
 * have put a FIFO there, at which opening waits for ever.
 */
export function firstOfStranger(paths: readonly string[], place: string): string | undefined {
  const uid = process.geteuid?.()
  if (uid === undefined) return undefined
  const trusted = new Set([0, uid, statSync(place).uid])
  return paths.find((path) => {
    const stats = lstatSync(path, { throwIfNoEntry: false })
    return stats !== undefined && !trusted.has(stats.uid)
  })
}

/** Returns a file of a package, its directories, and the `node_modules` that they lie in. */
export function levelsInModules(file: string): string[] {
  const above = dirname(file)
  const isLast = basename(file) === 'node_modules' || above === file
  return isLast ? [file] : [file, ...levelsInModules(above)]
}

/** Matches a file of this library as it is installed. Its dependencies are not searched in a bundle, which contains them. */
const INSTALLED = /[\\/]node_modules[\\/]cpu-memory-monitor[\\/]dist[\\/]/

/**
 * Checks a package that this library needs, before it is loaded. If its installation lacks the package, Node.js searches the
 * directories above, in which another user may have made a `node_modules`.
 *
 * @throws When the package is not found; or when its file, or a directory on the way to it, belongs to another user.
 */
export function refuseStranger(name: string): void {
  if (!INSTALLED.test(__filename)) return
  const stranger = firstOfStranger(levelsInModules(createRequire(__filename).resolve(name)), __filename)
  if (stranger !== undefined) throw new Error(`${stranger} belongs to another user`)
}
