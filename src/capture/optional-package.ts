import { realpathSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, isAbsolute, join } from 'node:path'

/** A package that the application has installed or handed over. Whether it loads is not known yet. */
export interface ResolvedPackage {
  readonly name: string
  /** The file that is loaded. `undefined` only for a package that was handed over and that Node's module cache does not list. */
  readonly file: string | undefined
}

/** Packages that are loaded already. A module cannot travel to the watchdog thread; its name and file can, and suffice there. */
const handedOver = new WeakMap<ResolvedPackage, unknown>()

/** Takes a package from the application. {@link loadPackage} returns it, on this thread only. */
export function takeOver(name: string, exports: object): ResolvedPackage {
  const module = Object.values(require.cache).find((each) => each?.exports === exports)
  const resolved = { name, file: module?.filename }
  handedOver.set(resolved, exports)
  return resolved
}

/**
 * Finds an optional package above this library, or above the program that runs: the library may be linked or hoisted to a
 * place from which the application's packages cannot be seen. Neither the working directory nor an argument counts, because
 * either may belong to another user.
 */
export function resolvePackage(name: string): ResolvedPackage | undefined {
  for (const place of [__filename, mainProgram()]) {
    const file = place === undefined ? undefined : findAbove(place, name)
    if (file !== undefined) return { name, file }
  }
  return undefined
}

/** The real path of the program. None for `node -e`, standard input, a preload and an ES module. */
function mainProgram(): string | undefined {
  try {
    return require.main ? realpathSync(require.main.filename) : undefined
  } catch {
    return undefined
  }
}

/** Looks into each `node_modules` upwards as Node does, but not into NODE_PATH or the home directory, where `resolve(name)` ends. */
function findAbove(place: string, name: string): string | undefined {
  // Some bundlers make `__filename` relative, which would count from the working directory.
  if (!isAbsolute(place)) return undefined
  const { resolve } = createRequire(place)
  for (let directory = dirname(place); ; directory = dirname(directory)) {
    try {
      return resolve(join(directory, 'node_modules', name))
    } catch {
      if (directory === dirname(directory)) return undefined
    }
  }
}

/**
 * Loads a package that was found, or returns the one that was handed over.
 *
 * @throws The package's own error, for example when its addon was not built for this Node.
 */
export function loadPackage(resolved: ResolvedPackage): unknown {
  const { name, file } = resolved
  if (handedOver.has(resolved)) return handedOver.get(resolved)
  if (file === undefined) throw new Error(`${name} was handed over on another thread`)
  const load = (): unknown => createRequire(file)(file)
  return name === 'heapdump' ? withoutItsSignal(load) : load()
}

/**
 * Whether heapdump handles SIGUSR2 as well, because the application has loaded it at any time. It does not when this library
 * loaded it, nor with `nosignal` in the environment.
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
 * heapdump takes SIGUSR2 when it is loaded, by a native handler that JavaScript can neither see nor remove, so that one signal
 * would make two dumps. A variable in the environment prevents it, and is read at that moment only.
 */
function withoutItsSignal<T>(load: () => T): T {
  // If the application loaded it before, the handler is there already, and loading it again changes nothing.
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
