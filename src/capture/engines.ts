import { existsSync, lstatSync, realpathSync, statSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, isAbsolute, join } from 'node:path'
import { firstLineOf } from '../base/error-text'
import type { PassedOver } from './capture'

/** How to use the optional packages. An object means `'auto'` with these packages, by name, from the application. */
export type EngineChoice = 'auto' | 'packages' | 'builtin' | HandedPackages

export type HandedPackages = Readonly<Record<string, object>>

/** The kinds of work that a package can do. */
export type EngineKind = 'cpu' | 'memory' | 'leak'

/** The package for one kind of work, if any, and why not another. Plain JSON, so that it can be sent to a thread. */
export interface Engine {
  readonly package?: ResolvedPackage
  readonly passedOver: readonly PassedOver[]
}

export type Engines = Readonly<Record<EngineKind, Engine>>

/** Names under which each package may be installed, best first. */
const PACKAGE_NAMES: Readonly<Record<EngineKind, readonly [string, ...string[]]>> = {
  cpu: ['v8-profiler-next'],
  memory: ['heapdump'],
  leak: ['memwatch-next', '@airbnb/node-memwatch'],
}

/**
 * Chooses the packages. `'packages'` requires those for the configured kinds of work; a manual CPU profile or snapshot is
 * always possible, and uses the packages that are installed.
 *
 * With `'auto'` an installed package is loaded when it is first needed, because v8-profiler-next alone costs 49 ms and 12 MB.
 * If it does not load then, the capture passes it over. With `'packages'` each package is loaded at once: only loading shows
 * whether an addon fits this Node, and the call must throw if one does not.
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
    const { package: resolved } = engines[kind]
    if (!resolved) return [`${PACKAGE_NAMES[kind].join(' or ')} (not installed)`]
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

/** A package that the application has installed or handed over. Whether it loads is not known yet. */
export interface ResolvedPackage {
  readonly name: string
  /** The file that is loaded. `undefined` only for a package that was handed over and that Node's module cache does not list. */
  readonly file: string | undefined
}

/** Packages that are loaded already. A module cannot be sent to the watchdog thread; its name and file can, and are enough. */
const handedOver = new WeakMap<ResolvedPackage, unknown>()

/** Takes a package from the application. {@link loadPackage} returns it, on this thread only. */
function takeOver(name: string, exports: object): ResolvedPackage {
  const module = Object.values(require.cache).find((each) => each?.exports === exports)
  const resolved = { name, file: module?.filename }
  handedOver.set(resolved, exports)
  return resolved
}

/**
 * Finds an optional package above this library, or above the program that runs: the library may be linked or hoisted to a
 * place from which the application's packages cannot be seen. Neither the working directory nor an argument counts, because
 * either may belong to another user.
 *
 * @param refused - Receives why a package that was found is not used.
 */
export function resolvePackage(name: string, refused: string[]): ResolvedPackage | undefined {
  for (const place of [__filename, mainProgram()]) {
    const file = place === undefined ? undefined : findAbove(place, name, refused)
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
function findAbove(place: string, name: string, refused: string[]): string | undefined {
  // Some bundlers make `__filename` relative, which would count from the working directory.
  if (!isAbsolute(place)) return undefined
  const { resolve } = createRequire(place)
  for (let directory = dirname(place); ; directory = dirname(directory)) {
    const folder = join(directory, 'node_modules', name)
    try {
      // Most levels have none, and a failed resolve() costs a hundred times as much.
      const file = existsSync(folder) ? resolve(folder) : undefined
      const stranger = file && findStrangers(join(directory, 'node_modules'), name, file, place)
      if (file !== undefined && stranger === undefined) return file
      if (stranger !== undefined) refused.push(`${stranger} belongs to another user`)
    } catch {
      // It has no entry that Node can load; the package may lie further up as well.
    }
    if (directory === dirname(directory)) return undefined
  }
}

/**
 * The first level of a package that another user made: in a directory above the application, such as /tmp, everybody may be able to
 * create a `node_modules`. Trusted are root, the user that runs, and the owner of the code that the package is for.
 */
function findStrangers(modules: string, name: string, file: string, place: string): string | undefined {
  const uid = process.geteuid?.()
  if (uid === undefined) return undefined
  const trusted = new Set([0, uid, statSync(place).uid])
  const folder = join(modules, name)
  const levels = [modules, dirname(folder), folder, dirname(file), file]
  return levels.find((level) => !trusted.has(lstatSync(level).uid))
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
 * Whether heapdump handles SIGUSR2 too, because the application has loaded it. It does not if this library loaded it, nor
 * with `nosignal` in the environment.
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
 * When heapdump is loaded it installs a native handler of SIGUSR2, which JavaScript can neither see nor remove, so one signal
 * would make two dumps. A variable in the environment prevents it, and is read only during the load.
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
