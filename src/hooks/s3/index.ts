import { hostname } from 'node:os'
import { dirname } from 'node:path'
import type { Dump } from '../../dispatch/events'
import { lines } from '../../report/lines'
import { say, stderrLogger } from '../../report/listeners'
import { BEGIN, DESTINATION, type OnDump, type Surroundings } from '../../report/on-dump'
import { placeOf } from './key'
import { resolveUploadOptions, type UploadOptions } from './options'
import { startRound } from './rounds'
import { findPeers } from './store'
import { Uploader } from './uploader'

export type { UploadCredentials, UploadOptions } from './options'

/** Logs to stderr while no monitor has passed its logger, e.g. when the application itself calls the upload function. */
const TO_STDERR: Surroundings['report'] = {
  info: (line) => say(stderrLogger(), 'info', line),
  failure: (failure) => say(stderrLogger(), 'error', lines.failure(failure)),
}

/**
 * Creates a function for the monitor's option `onDump` that uploads each dump and its `.json` to an S3 bucket. After the start it
 * also uploads dumps that earlier processes have left in the monitor's directories.
 *
 * While uploads fail, they are tried again, and unsent dumps stay on disk as far as `keep` and `maxBytes` allow. The monitor
 * reports one `'failure'` if S3 does not answer, one if S3 refuses uploads, and one for each dump file that cannot be sent.
 *
 * @throws TypeError, RangeError - for a wrong option.
 * @throws Error when `@aws-sdk/client-s3` or `@aws-sdk/lib-storage` is not installed.
 */
export function uploadTo(options: UploadOptions): OnDump<Dump> {
  const settings = resolveUploadOptions(options)
  const peers = findPeers()
  const host = hostname()
  const uploader = new Uploader(
    {
      startRound: (order, ...report) => startRound({ ...order, host, settings, peers }, ...report),
      random: Math.random,
    },
    TO_STDERR,
  )
  const onDump = ({ file, files }: Dump): Promise<void> => uploader.send(dirname(file), files)
  return Object.assign(onDump, {
    [BEGIN]: (surroundings: Surroundings) => uploader.begin(surroundings),
    [DESTINATION]: placeOf(settings),
  })
}
