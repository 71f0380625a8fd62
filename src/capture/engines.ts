import { firstLineOf } from '../core/message-of'
import { loadPackage, resolvePackage, type ResolvedPackage } from './optional-package'
import type { PassedOver } from './capture'

/** How the user wants the optional packages treated. */
export type EngineChoice = 'auto' | 'packages' | 'builtin'

/** What a package can serve. */
export type EngineKind = 'cpu' | 'memory' | 'leak'

/** The package that serves one kind of work, if any, and why not another. Plain JSON: it can travel to a thread. */
export interface Engine {
  readonly package?: ResolvedPackage
  readonly passedOver: readonly PassedOver[]
}

export type Engines = Readonly<Record<EngineKind, Engine>>

/** Names under which each engine's package may be installed, best first. */
const PACKAGE_NAMES: Readonly<Record<EngineKind, readonly [string, ...string[]]>> = {
  cpu: ['v8-profiler-next'],
  memory: ['heapdump'],
  leak: ['memwatch-next', '@airbnb/node-memwatch'],
}

/**
 * Chooses the packages. Those of the kinds of work that are configured are insisted on with `'packages'`; a CPU profile or a
 * snapshot can be asked for by hand whatever is configured, and takes what is there.
 *
 * With `'auto'` a package counts as soon as it is installed, and is loaded only when it is first needed: v8-profiler-next
 * alone costs 49 ms and 12 MB. If it then turns out not to load, the capture passes it over. With `'packages'` every
 * package is loaded here and now, because only loading shows that an addon fits this Node, and the promise is to throw at
 * the call.
 *
 * @throws Error with `'packages'`, naming every package that is missing or does not load.
 */
export function resolveEngines(choice: EngineChoice, kinds: readonly EngineKind[]): Engines {
  const found = (kind: EngineKind): Engine => {
    if (kind === 'leak' && !kinds.includes(kind)) return { passedOver: [] }
    if (choice === 'builtin') return { passedOver: passOver(kind, "engine is 'builtin'") }
    return findPackage(kind)
  }
  const engines = { cpu: found('cpu'), memory: found('memory'), leak: found('leak') }
  if (choice === 'packages') insist(engines, kinds)
  return engines
}

function findPackage(kind: EngineKind): Engine {
  for (const name of PACKAGE_NAMES[kind]) {
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
