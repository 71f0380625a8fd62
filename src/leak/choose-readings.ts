import type { PassedOver } from '../capture/capture'
import type { GcReadings } from './gc-readings'
import { findMemwatch, memwatchReadings } from './memwatch-readings'
import type { FoundMemwatch } from './memwatch-readings'
import { sentinelReadings } from './sentinel-readings'

/** The source taken, and the better ones that could not be. */
export interface ChosenReadings {
  readonly readings: GcReadings
  readonly passedOver: readonly PassedOver[]
}

/**
 * Chooses where full-GC readings come from. The package is loaded only if the engine allows it.
 *
 * @param engine - `auto`: the memwatch package if it loads, else Node. `packages`: the package. `builtin`: Node.
 * @param now - Monotonic ms.
 * @param find - How the package is looked for.
 * @throws Error with `packages` when no memwatch package loads; it names each and says why.
 */
export function chooseReadings(
  engine: 'auto' | 'packages' | 'builtin',
  now: () => number,
  find: () => FoundMemwatch = findMemwatch,
): ChosenReadings {
  if (engine === 'builtin') return { readings: sentinelReadings(now), passedOver: [] }

  const found = find()
  if ('memwatch' in found) {
    return { readings: memwatchReadings(found.name, found.memwatch, now), passedOver: [] }
  }
  if (engine === 'packages') throw new Error(missingMessage(found.missing))
  const passedOver = found.missing.map(({ name, why }) => ({ way: name, why }))
  return { readings: sentinelReadings(now), passedOver }
}

/**
 * What `engine: 'packages'` lacks for the leak watch: for the check at the call.
 *
 * @returns `undefined` when a memwatch package loads, else what is missing, why, and the command that installs it.
 */
export function missingLeakPackage(find: () => FoundMemwatch = findMemwatch): string | undefined {
  const found = find()
  return 'missing' in found ? missingMessage(found.missing) : undefined
}

function missingMessage(missing: readonly { readonly name: string; readonly why: string }[]): string {
  const each = missing.map(({ name, why }) => `${name} (${why})`).join(' nor ')
  return `the leak watch needs a memwatch package, but neither ${each} can be used: npm i memwatch-next@npm:@airbnb/node-memwatch`
}
