import { lstatSync, statSync } from 'node:fs'
import { createRequire } from 'node:module'
import { basename, dirname } from 'node:path'

/**
 * Returns the first existing path of a list that belongs to an untrusted user, or `undefined`. Trusted users are root, the user
 * of this process, and the owner of the file `place`, whose code this process runs already. A symbolic link is judged by its
 * own owner. No path is opened: another user could have put a FIFO there, and opening a FIFO can wait for ever.
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

/** Returns a path and each directory above it, up to the nearest `node_modules`; up to the root where there is none. */
export function levelsInModules(file: string): string[] {
  const above = dirname(file)
  const isLast = basename(file) === 'node_modules' || above === file
  return isLast ? [file] : [file, ...levelsInModules(above)]
}

/** Matches the path of a file of this library where npm installs it. A bundle has another path, and contains the dependencies. */
const INSTALLED = /[\\/]node_modules[\\/]cpu-memory-monitor[\\/]dist[\\/]/

/**
 * Checks who owns a package that this library needs, before the package is loaded. If it is missing where npm installs it,
 * Node.js searches the parent directories, in which another user may have made a `node_modules`. Does nothing in a bundle.
 *
 * @throws When the package is not found; or when its file, or a directory above it up to `node_modules`, belongs to a user
 * other than root, the user of this process, and the owner of this library.
 */
export function refuseStranger(name: string): void {
  if (!INSTALLED.test(__filename)) return
  const stranger = firstOfStranger(levelsInModules(createRequire(__filename).resolve(name)), __filename)
  if (stranger !== undefined) throw new Error(`${stranger} belongs to another user`)
}
