/** A threshold as it can be compared once the machine is known: absolute, or a share of what the process may use. */
export type Threshold =
  { readonly unit: 'absolute'; readonly value: number } | { readonly unit: 'share'; readonly percent: number }

/**
 * @param whole - What the process may use, in the unit that the threshold is wanted in.
 * @returns The number that readings are compared with.
 */
export function absoluteThreshold(threshold: Threshold, whole: number): number {
  return threshold.unit === 'absolute' ? threshold.value : (threshold.percent / 100) * whole
}
