/** A threshold as the user set it: an absolute value, or a share of what the process may use. */
export type Threshold =
  { readonly unit: 'absolute'; readonly value: number } | { readonly unit: 'share'; readonly percent: number }

/**
 * @param whole - All that the process may use, in the unit of the result.
 * @returns The number that readings are compared with.
 */
export function absoluteThreshold(threshold: Threshold, whole: number): number {
  return threshold.unit === 'absolute' ? threshold.value : (threshold.percent / 100) * whole
}
