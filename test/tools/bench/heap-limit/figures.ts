import { digits, spreadOf, withSpread } from '../output/statistics'
import { formatTable } from '../output/table'

/** One process that died of its heap limit. */
export interface Death {
  /** From the limit to the end of the process; none without evidence, which shows when the limit was reached. */
  readonly afterMs?: number | undefined
  /** Most resident memory of the dying process. */
  readonly peakMb: number
  /** Most memory, without page cache, of that process and of those that it left behind. */
  readonly allMb: number
  /** Code, signal and V8's errors are those of a process without the tool. */
  readonly isDeathTheSame: boolean
  readonly hasSnapshot: boolean
  readonly hasProfile: boolean
  /** From the limit to the last byte of the snapshot. */
  readonly wholeAfterMs?: number | undefined
}

export interface Row {
  readonly limitMb: number
  readonly way: string
  readonly deaths: readonly Death[]
  /** In a container with room for the heap and CONTAINER_MB more. */
  readonly contained: readonly Death[]
  /** Why there are no deaths. */
  readonly reason?: string
}

/** Beyond the heap limit. */
export const CONTAINER_MB = 400
const HEAD = ['death ms', 'same death', 'process MB', 'all MB', 'snapshots', 'whole s']

/** A table for each heap limit, and one for the containers. */
export function tablesOf(rows: readonly Row[]): string {
  const limits = [...new Set(rows.map(({ limitMb }) => limitMb))]
  const tables = limits.map((limitMb) => {
    const ofLimit = rows.filter((row) => row.limitMb === limitMb)
    return formatTable([`heap limit of ${limitMb} MB`, ...HEAD], ofLimit.map(lineOf))
  })
  return [...tables, containerTable(limits, rows)].join('\n\n')
}

function lineOf({ way, deaths, reason }: Row): string[] {
  if (reason !== undefined) return [way, reason]
  const spread = (name: 'afterMs' | 'peakMb' | 'allMb' | 'wholeAfterMs') => {
    const values = deaths.flatMap((death) => death[name] ?? [])
    return values.length === 0 ? undefined : spreadOf(values)
  }
  const middle = (name: 'peakMb' | 'allMb' | 'wholeAfterMs', perUnit = 1) => {
    const { median } = spread(name) ?? {}
    return median === undefined ? '-' : digits(median / perUnit)
  }
  const afterMs = spread('afterMs')
  return [
    way,
    afterMs ? withSpread(afterMs) : '-',
    count(deaths, 'isDeathTheSame'),
    middle('peakMb'),
    middle('allMb'),
    count(deaths, 'hasSnapshot'),
    middle('wholeAfterMs', 1000),
  ]
}

function containerTable(limits: readonly number[], rows: readonly Row[]): string {
  const ways = [...new Set(rows.filter(({ contained }) => contained.length > 0).map(({ way }) => way))]
  const lines = ways.map((way) => [
    way,
    ...limits.map((limitMb) => {
      const contained = rows.find((row) => row.way === way && row.limitMb === limitMb)?.contained ?? []
      const kinds = contained.some(({ hasProfile }) => hasProfile)
        ? (['hasProfile', 'hasSnapshot'] as const)
        : (['hasSnapshot'] as const)
      const names = { hasProfile: 'profile', hasSnapshot: 'snapshot' }
      return kinds.map((kind) => `${names[kind]} ${count(contained, kind)}`).join(', ')
    }),
  ])
  const head = [`in a container of ${CONTAINER_MB} MB more`, ...limits.map((limitMb) => `${limitMb} MB`)]
  return formatTable(head, lines)
}

function count(deaths: readonly Death[], has: 'isDeathTheSame' | 'hasSnapshot' | 'hasProfile'): string {
  return `${deaths.filter((death) => death[has]).length}/${deaths.length}`
}
