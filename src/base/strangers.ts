import { lstatSync, type Stats, statSync } from 'node:fs'
import { createRequire } from 'node:module'
import { basename, dirname, sep } from 'node:path'
import { inWords, isOwn, standsForOne } from './own-user'

/**
 * Returns the first existing path of a list that belongs to an untrusted user, or `undefined`. Trusted users are root, the user
 * of this process, and the owner of the file `place`, whose code this process runs already. A symbolic link is judged by its
 * own owner. No FIFO is opened: another user could have put one there, and opening a FIFO can wait for ever.
 *
 * Where the id of the owner of `place` stands for several users, only what lies in the same outermost `node_modules` is trusted
 * as his, if nobody else can create files there.
 */
export function firstOfStranger(paths: readonly string[], place: string): string | undefined {
  if (process.geteuid === undefined) return undefined
  const owner = statSync(place).uid
  const isKnown = standsForOne(owner)
  const tree = isKnown ? undefined : closedTreeOf(place)
  const isTrusted = (path: string, stats: Stats): boolean => {
    if (stats.uid === 0 || isOwn(path, stats)) return true
    return stats.uid === owner && (isKnown || (tree !== undefined && `${path}${sep}`.startsWith(tree)))
  }
  return paths.find((path) => {
    const stats = lstatSync(path, { throwIfNoEntry: false })
    return stats !== undefined && !isTrusted(path, stats)
  })
}

/** The outermost `node_modules` in a path, with a separator at its end; `undefined` if others than its owner can write to it. */
function closedTreeOf(place: string): string | undefined {
  const [tree] = /^.*?[\\/]node_modules[\\/]/.exec(place) ?? []
  return tree !== undefined && (statSync(tree).mode & 0o022) === 0 ? tree : undefined
}

/** Says in a message why a path that {@link firstOfStranger} returned is not trusted. */
export function whyStranger(path: string): string {
  const uid = lstatSync(path, { throwIfNoEntry: false })?.uid
  return uid === undefined || standsForOne(uid) ? 'belongs to another user' : `belongs to ${inWords(uid)}`
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
  if (stranger !== undefined) throw new Error(`${stranger} ${whyStranger(stranger)}`)
}
