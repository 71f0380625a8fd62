import { epochMs } from '../base/time'
import { claimReport, type HeapLimitDump } from '../capture/heap/limit/earlier-dumps'
import type { Sidecar } from '../files/sidecar'
import type { Dump, Report } from './events'

/** A whole dump at V8's heap limit that was found in the directory, as plain data that can be sent to another thread. */
export interface FoundDump {
  /** Artefacts that were not reported when the directory was read, the main one first. */
  readonly artefacts: readonly { readonly file: string; readonly how: Sidecar['how'] }[]
  /** Whether an earlier process left it, not this one, which reached the limit and lived on. */
  readonly isEarlier: boolean
}

/** @param isEarlier - Whether an earlier process left the dump. */
export function foundDump({ unreported }: HeapLimitDump, isEarlier: boolean): FoundDump {
  return { artefacts: unreported.map(({ file, sidecar }) => ({ file, how: sidecar.how })), isEarlier }
}

/**
 * Reports a found dump if this process can claim its main artefact, with the others that it can claim. On the thread on
 * which the application's listeners run: a process that dies between the claim and the report would suppress the report
 * for ever, so both are made within one call, and a process whose event loop never turns claims nothing. If a process is
 * killed within that call, the report is lost; without a claim, each process that shares the directory would make one.
 */
export function reportFoundDump(
  { artefacts, isEarlier }: FoundDump,
  pid: number,
  report: Pick<Report, 'dump'>,
): void {
  const canClaim = ({ file }: (typeof artefacts)[number]): boolean => claimReport(file, pid, epochMs())
  const [main, ...others] = artefacts
  // Two processes that look at once would otherwise claim, and report, one artefact each.
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
