import { formatSize } from '../base/size'
import type { Dump, Failure, Leak, Skip } from '../dispatch/events'

/** What a log line says about each event. */
export const lines = {
  dump({ kind, rule, files, sizeBytes, way, pauseMs, durationMs, lateMs }: Dump): string {
    const late =
      lateMs === undefined ? '' : `, ${Math.round(lateMs)} ms late: the main thread took no order before`
    const took = `pause ${Math.round(pauseMs)} ms, took ${Math.round(durationMs)} ms${late}`
    return `${rule} ${kind} dump: ${files.join(', ')} (${way}, ${formatSize(sizeBytes)}, ${took})`
  },

  skip({ kind, rule, reason, numbers }: Skip): string {
    const figures = Object.entries(numbers).map(([name, value]) => `${name} ${value}`)
    const suffix = figures.length > 0 ? ` (${figures.join(', ')})` : ''
    return `${rule} ${kind} dump skipped: ${reason}${suffix}`
  },

  leak({ growth, start, end, reason }: Leak): string {
    const span = `${start.toISOString()} to ${end.toISOString()}`
    return `leak suspected: heap grew by ${formatSize(growth)} from ${span}: ${reason}`
  },

  failure({ stage, kind, message }: Failure): string {
    return `${kind ? `${kind} ` : ''}${stage} failed: ${message}`
  },
}
