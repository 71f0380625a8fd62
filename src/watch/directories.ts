import { pause, systemClock } from '../base/time'
import type { Report } from '../dispatch/events'
import { modeForOthers, whoCanTamper, whoseFiles, whyNotWritable } from '../files/directory'
import { deleteExpired, type Deletions, sweepStalePartials } from '../files/retention'

/**
 * Prepares the dump directories: creates them, logs problems with them at the start, and deletes unfinished files that
 * dead processes left there. Dumps do not wait for this function. Never rejects.
 */
export async function prepareDirectories(
  directories: readonly string[],
  host: string,
  report: Report,
): Promise<void> {
  const writable = [...new Set(directories)].filter((directory) => {
    const why = whyNotWritable(directory)
    if (why !== undefined) report.notice(`${directory} cannot be written, dumps to it will fail: ${why}`)
    const tamper = why === undefined ? whoCanTamper(directory) : undefined
    if (tamper !== undefined) report.notice(`other users can delete or move dumps in ${directory}: ${tamper}`)
    const mode = why === undefined ? modeForOthers(directory) : undefined
    if (mode !== undefined)
      report.notice(
        `other users can read dumps in ${directory}: its file system gives files the mode ${mode}; ` +
          'mount it so that files get the mode 0600, or choose another profileDir',
      )
    const whose = why === undefined ? whoseFiles(directory) : undefined
    if (whose !== undefined)
      report.notice(
        `dumps in ${directory} do not count as this process's own, because new files there belong to ${whose}: ` +
          "keep does not delete them, they are not uploaded, and those at V8's heap limit are neither counted nor reported",
      )
    return why === undefined
  })
  // The timer behind `pause` is unref'd, so a process that is about to end exits here, without the work below.
  await pause(0)
  for (const directory of writable) {
    const { failures, incomplete } = await sweepStalePartials(directory, host, systemClock.epochMs())
    reportFailures(failures, report)
    if (incomplete !== undefined)
      report.notice(`unfinished files of dead processes may remain in ${directory}: ${incomplete}`)
  }
}

/**
 * Builds the function that deletes a directory's oldest dumps. That function is called after each successful dump.
 *
 * @param isSent - Whether dumps are uploaded from the directory. If so, the deletion of a dump not yet uploaded is reported.
 */
export function retainer(
  host: string,
  keep: number | false,
  report: Report,
  isSent = false,
): (directory: string, made: string) => Promise<void> {
  const reported = new Set<string>()
  return async (directory, made) => {
    const { failures, incomplete, losses = [] } = await deleteExpired(directory, host, { keep, made, isSent })
    reportFailures(failures, report)
    for (const message of losses) report.failure({ stage: 'retention', message })
    if (incomplete === undefined || reported.has(directory)) return
    reported.add(directory)
    report.notice(`old dumps may remain in ${directory}: ${incomplete}`)
  }
}

function reportFailures(failures: Deletions['failures'], report: Report): void {
  for (const { file, error } of failures)
    report.failure({ stage: 'retention', message: `${file}: ${error.message}`, error })
}
