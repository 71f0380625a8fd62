import type { Sampler } from './sampler'
import { chooseUsageReader, type UsageReader } from './usage-reader'

/** Samples the resident set size of the own process, bytes. Every sample has a value, the first too. */
export function memorySampler(reader: UsageReader = chooseUsageReader()): Sampler {
  return {
    sample: () => new Promise((resolve) => resolve(reader.own().rssBytes)),
    close: () => Promise.resolve(),
  }
}
