import { firstLineOf } from '../base/globals'
import type { PassedOver } from '../capture/capture'
import type { Engine } from '../capture/engines'
import { loadPackage } from '../capture/engines'
import { type Memwatch, memwatchReadings } from './memwatch'
import type { GcReadings } from './readings'
import { sentinelReadings } from './sentinel'

/** The source of heap readings in use, and the preferred sources that are not available. */
export interface ChosenReadings {
  readonly readings: GcReadings
  readonly passedOver: readonly PassedOver[]
}

/**
 * Chooses the source of heap readings after full GCs: a memwatch package if one is installed and loads, otherwise a source
 * that needs no package.
 *
 * @param engine - The memwatch package to use, if any: `engines.leak` of `resolveEngines`.
 * @param now - Returns monotonic ms.
 */
export function chooseReadings(engine: Engine, now: () => number): ChosenReadings {
  const passedOver = [...engine.passedOver]
  if (engine.package) {
    const { name } = engine.package
    try {
      const memwatch = loadPackage(engine.package) as Memwatch
      return { readings: memwatchReadings(name, memwatch, now), passedOver }
    } catch (error) {
      passedOver.push({ way: name, why: `does not load: ${firstLineOf(error)}` })
    }
  }
  return { readings: sentinelReadings(now), passedOver }
}
