import { createRequire } from 'node:module'
import { join } from 'node:path'

/** A package that is installed: its name and the file that loads it. Nothing is known yet about whether it loads. */
export interface ResolvedPackage {
  readonly name: string
  readonly file: string
}

/**
 * Finds an optional package as the application would: beside this library, then from the program that runs, then from
 * the working directory. The library may be linked or hoisted to a place from which the application's packages do not show.
 */
export function resolvePackage(name: string): ResolvedPackage | undefined {
  for (const place of [() => __filename, () => process.argv[1], () => join(process.cwd(), 'index.js')]) {
    try {
      const from = place()
      if (from === undefined) continue
      return { name, file: createRequire(from).resolve(name) }
    } catch {
      // Not to be seen from here: the next place may see it.
    }
  }
  return undefined
}

/**
 * Loads a package that was found.
 *
 * @throws The package's own error, e.g. when its addon was not built for this Node.
 */
export function loadPackage({ name, file }: ResolvedPackage): unknown {
  const load = (): unknown => createRequire(__filename)(file)
  return name === 'heapdump' ? withoutItsSignal(load) : load()
}

/**
 * Whether the application has loaded heapdump by itself, at any time, so that heapdump hears SIGUSR2 too. Loaded by us it
 * does not, nor with `nosignal` in the environment.
 */
export function isHeapdumpListening(): boolean {
  if (loadedQuietly || process.env['NODE_HEAPDUMP_OPTIONS'] === 'nosignal') return false
  return Object.keys(require.cache).some(isHeapdumpAddon)
}

let loadedQuietly = false

function isHeapdumpAddon(file: string): boolean {
  return /[\\/]heapdump[\\/].*\.node$/.test(file)
}

/**
 * heapdump takes SIGUSR2 as soon as it is loaded, by a native handler that no JavaScript can see or remove: one signal would
 * make two dumps. It can be told not to, in the environment, at that moment only.
 */
function withoutItsSignal<T>(load: () => T): T {
  // What the application loaded before us hears the signal already, and is not loaded again.
  if (Object.keys(require.cache).some(isHeapdumpAddon)) return load()
  loadedQuietly = true
  const before = process.env['NODE_HEAPDUMP_OPTIONS']
  process.env['NODE_HEAPDUMP_OPTIONS'] = 'nosignal'
  try {
    return load()
  } finally {
    if (before === undefined) delete process.env['NODE_HEAPDUMP_OPTIONS']
    else process.env['NODE_HEAPDUMP_OPTIONS'] = before
  }
}
