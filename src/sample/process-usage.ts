import { chooseUsageReader, type ProcessUsage, type UsageReader } from './usage-reader'

let reader: UsageReader | undefined

/**
 * Reads what other processes use, all of them in one call of pidusage. A pid that is gone is absent from the answer.
 *
 * @throws (as a rejection) Where only the own process can be read (anywhere but on Linux), and when the operating system gives no answer for a
 * process that exists: then nothing is known about any of them.
 */
export function processUsage(pids: readonly number[]): Promise<Map<number, ProcessUsage>> {
  return new Promise((resolve) => resolve(lastingReader().of(pids)))
}

/** A reader that cannot read other processes is not kept: what was in its way (no descriptor free, say) may pass. */
function lastingReader(): UsageReader {
  if (reader?.way !== 'pidusage') reader = chooseUsageReader()
  return reader
}
