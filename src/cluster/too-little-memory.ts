import { formatSize } from '../core/size'
import type { Logger } from '../options'
import { readLimits } from '../sample/limits'
import type { ClusterSettings } from './options'

/** All workers at their limit and the newcomer beside them must fit into what there is. */
export function warnOfTooLittleMemory(
  { count, maxSurge, limitBytes }: Pick<ClusterSettings, 'count' | 'maxSurge' | 'limitBytes'>,
  report: Pick<Logger, 'warn'>,
  limits = readLimits(),
): void {
  const needBytes = (count + maxSurge) * limitBytes
  const haveBytes = limits.memoryLimitBytes ?? limits.totalMemoryBytes
  if (needBytes <= haveBytes) return
  report.warn(
    `${count + maxSurge} workers at ${formatSize(limitBytes)} need ${formatSize(needBytes)}, ` +
      `but there are ${formatSize(haveBytes)} (${limits.memoryLimitSource === 'none' ? 'machine' : limits.memoryLimitSource}): ` +
      'lower the limit or the number of workers',
  )
}
