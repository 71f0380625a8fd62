import { epochMs } from '../base/time'
import { claimReport, type HeapLimitDump } from '../capture/heap/limit/earlier-dumps'
import type { Sidecar } from '../files/sidecar'
import type { Dump, Report } from './events'

/** A complete dump at V8's heap limit that was found in the directory, as plain data that can be sent to another thread. */
export interface FoundDump {
  /**
   * The dump's files that were not reported when the directory was read, the main file first. `how` (method, size, duration and
   * pause of the capture) comes from the file's sidecar (`.json`).
   */
  readonly artefacts: readonly { readonly file: string; readonly how: Sidecar['how'] }[]
  /** Whether an earlier process made the dump. If not, this process reached the heap limit and lived on. */
  readonly isEarlier: boolean
}

/** Makes the plain data of a found dump. @param isEarlier - Whether an earlier process left the dump. */
export function foundDump({ unreported }: HeapLimitDump, isEarlier: boolean): FoundDump {
  return { artefacts: unreported.map(({ file, sidecar }) => ({ file, how: sidecar.how })), isEarlier }
}

/**
 * Reports a found dump, unless another process has reported it. Each process that shares the directory finds the dump. So the
 * reporting process first claims each file by a mark in the file's sidecar (`.json`), and reports the files that it could claim.
 *
 * Runs on the main thread, where the listeners are called, so that claim and report happen within one call: a process
 * that died in between would suppress the report for ever.
 */
export function reportFoundDump(
  { artefacts, isEarlier }: FoundDump,
  pid: number,
  report: Pick<Report, 'dump'>,
): void {
  const canClaim = ({ file }: (typeof artefacts)[number]): boolean => claimReport(file, pid, epochMs())
  const [main, ...others] = artefacts
  // If the main file cannot be claimed, nothing is reported. Otherwise two processes could each report a part of the dump.
  if (!main || !canClaim(main)) return
  const claimed = [main, ...others.filter(canClaim)]
  const { way, passedOver, pauseMs, sizeBytes } = main.how
  const dump: Dump = {
    kind: 'memory',
    rule: 'heap-limit',
    file: main.file,
    files: claimed.map(({ file }) => file),
    ...{ sizeBytes, way, passedOver, pauseMs },
    durationMs: claimed.reduce((sum, { how }) => sum + how.durationMs, 0),
    ...(isEarlier ? { earlier: true } : {}),
  }
  report.dump(dump)
}
