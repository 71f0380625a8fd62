import { existsSync, realpathSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, isAbsolute, join } from 'node:path'
import { firstLineOf } from '../base/globals'
import { firstOfStranger, levelsInModules, whyStranger } from '../base/strangers'
import type { PassedOver } from './capture'

/**
 * Which optional packages to use. `'auto'`: those that are installed; `'packages'`: they must be installed; `'builtin'`:
 * none. An object holds loaded packages by name, which are used first; for the others it means `'auto'`.
 */
export type EngineChoice = 'auto' | 'packages' | 'builtin' | HandedPackages

export type HandedPackages = Readonly<Record<string, object>>

/** The kinds of work for which an optional package can be used: CPU profiles, heap snapshots, and the search for leaks. */
export type EngineKind = 'cpu' | 'memory' | 'leak'

/** The package for one kind of work, or why there is none. Plain JSON, so that it can be sent to a thread. */
export interface Engine {
  readonly package?: ResolvedPackage
  readonly passedOver: readonly PassedOver[]
}

export type Engines = Readonly<Record<EngineKind, Engine>>

/** Names of the packages for each kind of work, preferred name first. */
const PACKAGE_NAMES: Readonly<Record<EngineKind, readonly [string, ...string[]]>> = {
  cpu: ['v8-profiler-next'],
  memory: ['heapdump'],
  leak: ['memwatch-next', '@airbnb/node-memwatch'],
}

/**
 * Chooses the optional package for each kind of work. With `'packages'`, a package is required for each configured kind
 * (`kinds`). Packages for CPU profiles and snapshots are also found for a kind that is not configured: manual dumps of that
 * kind use them.
 *
 * With `'auto'` an installed package is loaded on first use, because v8-profiler-next alone costs 49 ms and 12 MB. If
 * the package does not load then, the dump is made without it. With `'packages'` each package is loaded at once, because
 * only loading shows whether an addon fits this Node.
 *
 * @throws Error with `'packages'`, naming every package that is missing or does not load.
 */
export function resolveEngines(choice: EngineChoice, kinds: readonly EngineKind[]): Engines {
  const found = (kind: EngineKind): Engine => {
    if (kind === 'leak' && !kinds.includes(kind)) return { passedOver: [] }
    if (choice === 'builtin') return { passedOver: passOver(kind, "engine is 'builtin'") }
    return findPackage(kind, typeof choice === 'object' ? choice : {})
  }
  const engines = { cpu: found('cpu'), memory: found('memory'), leak: found('leak') }
  if (choice === 'packages') requirePackages(engines, kinds)
  return engines
}

function findPackage(kind: EngineKind, handed: HandedPackages): Engine {
  const names = PACKAGE_NAMES[kind]
  const given = names.find((name) => handed[name] !== undefined)
  if (given !== undefined) return { package: takeOver(given, handed[given] as object), passedOver: [] }
  const refused: string[] = []
  for (const name of names) {
    const resolved = resolvePackage(name, refused)
    if (resolved) return { package: resolved, passedOver: [] }
  }
  return { passedOver: passOver(kind, refused[0] ?? 'not installed') }
}

function passOver(kind: EngineKind, why: string): PassedOver[] {
  return [{ way: PACKAGE_NAMES[kind][0], why }]
}

function requirePackages(engines: Engines, kinds: readonly EngineKind[]): void {
  const missing = kinds.flatMap((kind) => {
    const { package: resolved, passedOver } = engines[kind]
    if (!resolved) return [`${PACKAGE_NAMES[kind].join(' or ')} (${passedOver[0]?.why ?? 'not installed'})`]
    const why = whyItDoesNotLoad(resolved)
    return why === undefined ? [] : [`${resolved.name} (${why})`]
  })
  if (missing.length === 0) return
  throw new Error(
    `options.engine is 'packages', but these packages cannot be used: ${missing.join(', ')}. ` +
      `Install them, or choose 'auto' or 'builtin'.`,
  )
}

function whyItDoesNotLoad(resolved: ResolvedPackage): string | undefined {
  try {
    loadPackage(resolved)
    return undefined
  } catch (error) {
    return firstLineOf(error)
  }
}

/** A package that the application has installed or passed in. It may still fail to load. */
export interface ResolvedPackage {
  readonly name: string
  /** The file that is loaded. `undefined` for a package that was passed in but is not in Node's module cache. */
  readonly file: string | undefined
}

/** Loaded modules that the application passed in. Only this thread can use them: a module cannot be sent to another thread. */
const handedOver = new WeakMap<ResolvedPackage, unknown>()

/** Registers a package that the application passed in: {@link loadPackage} on this thread then returns it. */
function takeOver(name: string, exports: object): ResolvedPackage {
  const module = Object.values(require.cache).find((each) => each?.exports === exports)
  const resolved = { name, file: module?.filename }
  handedOver.set(resolved, exports)
  return resolved
}

/**
 * Finds an optional package in the `node_modules` of a parent directory of this library, or else of the main program: a
 * library that is linked or hoisted may lie outside of the application's directory. Neither the working directory nor a
 * command-line argument is searched, because either may belong to another user.
 *
 * @param refused - Receives the reason why a package that was found is not used.
 */
export function resolvePackage(name: string, refused: string[]): ResolvedPackage | undefined {
  for (const place of [__filename, mainProgram()]) {
    const file = place === undefined ? undefined : findAbove(place, name, refused)
    if (file !== undefined) return { name, file }
  }
  return undefined
}

/** Returns the real path of the main program; `undefined` for `node -e`, standard input, a preload and an ES module. */
function mainProgram(): string | undefined {
  try {
    return require.main ? realpathSync(require.main.filename) : undefined
  } catch {
    return undefined
  }
}

/** Searches each `node_modules` from `place` upwards. Unlike Node it does not search NODE_PATH and the home directory. */
function findAbove(place: string, name: string, refused: string[]): string | undefined {
  // Some bundlers make `__filename` relative: it would be resolved against the working directory.
  if (!isAbsolute(place)) return undefined
  const { resolve } = createRequire(place)
  for (let directory = dirname(place); ; directory = dirname(directory)) {
    const folder = join(directory, 'node_modules', name)
    try {
      // Most directories do not have the package, and a failed resolve() costs a hundred times as much as existsSync().
      if (existsSync(folder)) {
        let stranger = firstOfStranger(openedIn(folder), place)
        if (stranger === undefined) {
          const file = resolve(folder)
          stranger = firstOfStranger([dirname(file), file], place)
          if (stranger === undefined) return file
        }
        refused.push(`${stranger} ${whyStranger(stranger)}`)
      }
    } catch {
      // The package has no entry point that Node can load. Another copy may be in a parent directory.
    }
    if (directory === dirname(directory)) return undefined
  }
}

/**
 * Returns the paths that Node.js opens to find the entry point of a package, so that their owners can be checked:
 * `node_modules`, the package's directory, its target if it is a symbolic link, and `package.json`. In a parent directory of the
 * application, such as /tmp, any user may be able to create a `node_modules`.
 */
function openedIn(folder: string): string[] {
  const real = realpathSync(folder)
  return [...levelsInModules(folder).reverse(), real, join(real, 'package.json')]
}

/**
 * Returns the first `node_modules` that belongs to an untrusted user, among those that Node searches for the dependencies
 * of `file`. That user could put a package there that `file` looks for but that is not installed: ioredis, for example,
 * looks for `supports-color`.
 */
function findStrangerAbove(name: string, file: string): string | undefined {
  return firstOfStranger(createRequire(file).resolve.paths(name) ?? [], file)
}

/**
 * Loads an optional package that was found, or returns the one that the application passed in.
 *
 * @throws The package's own error, for example when its addon was not built for this Node; an error that names a
 * `node_modules` of another user, in which the package would look for its dependencies; or an error when the application passed
 * the package in on another thread, and no file of it is known.
 */
export function loadPackage(resolved: ResolvedPackage): unknown {
  const { name, file } = resolved
  if (handedOver.has(resolved)) return handedOver.get(resolved)
  if (file === undefined)
    throw new Error(`${name} can be used only on the thread that passed it to the monitor`)
  const stranger = findStrangerAbove(name, file)
  if (stranger !== undefined)
    throw new Error(
      `${name} is not loaded: it looks for packages in ${stranger}, which ${whyStranger(stranger)}`,
    )
  const load = (): unknown => createRequire(file)(file)
  return name === 'heapdump' ? withoutItsSignal(load) : load()
}

/**
 * Whether the heapdump package also makes a snapshot on SIGUSR2, because the application has loaded it. The package does
 * not if this library loaded it, or if the environment contains `NODE_HEAPDUMP_OPTIONS=nosignal`.
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
 * Loads heapdump without its handler for SIGUSR2. Normally the package installs a native handler, which JavaScript can
 * neither see nor remove, so one signal would make two dumps. It reads NODE_HEAPDUMP_OPTIONS only while it loads.
 */
function withoutItsSignal<T>(load: () => T): T {
  // If the application has loaded heapdump, the handler is installed already, and loading again changes nothing.
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
