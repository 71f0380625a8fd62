import type { Place } from './model'

/** Maps places in compiled code to their sources. */
export interface Locator {
  readonly locate: (place: Place) => Place
  /** What could not be mapped, and why. */
  readonly notes: () => readonly string[]
}

export function createLocator(directory: string | undefined): Locator {
  return { locate: (place) => place, notes: () => (directory === undefined ? [] : []) }
}
