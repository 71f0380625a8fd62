import { formatSize } from '../base/size'
import type { Dump, Failure, Leak, Skip } from '../dispatch/events'
import { cpuSentence, memorySentence } from '../makeup/sentence'

/** Functions that return the log line of an event, by the name of the event. */
export const lines = {
  dump(dump: Dump): string {
    if (dump.earlier) return earlierDump(dump)
    const { kind, rule, files, sizeBytes, way, pauseMs, durationMs, lateMs } = dump
    const late =
      lateMs === undefined
        ? ''
        : `, began ${Math.round(lateMs)} ms late: the main thread did not respond before`
    const took = `pause ${Math.round(pauseMs)} ms, took ${Math.round(durationMs)} ms${late}`
    return `${rule} ${kind} dump: ${files.join(', ')} (${way}, ${formatSize(sizeBytes)}, ${took})${inWords(dump)}`
  },

  skip(skip: Skip): string {
    const { kind, rule, reason, numbers } = skip
    return `${rule} ${kind} dump skipped: ${reason}${inBrackets(numbers)}${inWords(skip)}`
  },

  leak({ growth, start, end, reason, sites }: Leak): string {
    const span = `${start.toISOString()} to ${end.toISOString()}`
    const [first] = sites
    const where = first ? `, ${formatSize(first.growth)} of it in ${placeOf(first)}` : ''
    return `leak suspected: heap grew by ${formatSize(growth)} from ${span}${where}: ${reason}`
  },

  failure({ stage, kind, rule, message }: Failure): string {
    const of = rule ?? kind
    return `${of ? `${of} ` : ''}${stage} failed: ${message}`
  },
}

/** Returns the numbers that decided against a dump, as text: ` (used 1.2GB, need 9GB)`. Empty if there are none. */
export function inBrackets(numbers: Skip['numbers']): string {
  const figures = Object.entries(numbers).map(([name, value]) =>
    name.endsWith('Bytes') ? `${name.slice(0, -'Bytes'.length)} ${formatSize(value)}` : `${name} ${value}`,
  )
  return figures.length > 0 ? ` (${figures.join(', ')})` : ''
}

/** Returns the end of a log line: which thread used the CPU, or what holds the memory. Empty if that is not known. */
function inWords({ kind, makeup }: Pick<Dump, 'kind' | 'makeup'>): string {
  if (!makeup || (kind === 'cpu' && makeup.spanMs === 0)) return ''
  return `; ${kind === 'cpu' ? cpuSentence(makeup) : memorySentence(makeup)}`
}

function earlierDump({ files, sizeBytes }: Dump): string {
  return `an earlier process reached V8's heap limit and left ${files.join(', ')} (${formatSize(sizeBytes)})`
}

function placeOf({ functionName, url, line }: Leak['sites'][number]): string {
  return url === '' ? functionName : `${functionName} (${url}:${line})`
}
