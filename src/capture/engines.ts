import { firstLineOf } from '../base/error-text'
import { loadPackage, resolvePackage, takeOver, type ResolvedPackage } from './optional-package'
import type { PassedOver } from './capture'

/** How to treat the optional packages. An object: as `'auto'`, with these packages, by name, from the application. */
export type EngineChoice = 'auto' | 'packages' | 'builtin' | HandedPackages

export type HandedPackages = Readonly<Record<string, object>>

/** The kinds of work that a package can do. */
export type EngineKind = 'cpu' | 'memory' | 'leak'

/** The package for one kind of work, if any, and why not another. Plain JSON, so that it can travel to a thread. */
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
 * Chooses the packages. `'packages'` insists on those for the configured kinds of work; a manual CPU profile or snapshot is
 * possible whatever is configured, and uses what is installed.
 *
 * With `'auto'` an installed package is loaded when it is first needed, because v8-profiler-next alone costs 49 ms and 12 MB.
 * If it does not load then, the capture passes it over. With `'packages'` each package is loaded at once: only loading shows
 * that an addon fits this Node, and the promise is to throw at the call.
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
  if (choice === 'packages') insist(engines, kinds)
  return engines
}

function findPackage(kind: EngineKind, handed: HandedPackages): Engine {
  const names = PACKAGE_NAMES[kind]
  const given = names.find((name) => handed[name] !== undefined)
  if (given !== undefined) return { package: takeOver(given, handed[given] as object), passedOver: [] }
  for (const name of names) {
    const resolved = resolvePackage(name)
    if (resolved) return { package: resolved, passedOver: [] }
  }
  return { passedOver: passOver(kind, 'not installed') }
}

function passOver(kind: EngineKind, why: string): PassedOver[] {
  return [{ way: PACKAGE_NAMES[kind][0], why }]
}

function insist(engines: Engines, kinds: readonly EngineKind[]): void {
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
