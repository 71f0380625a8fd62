import { readdirSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { HOUR_MS } from './heap'
import type { Rule } from './rules'
import type { Run } from './series'

/** A recorded program, as `record-case` prints it. */
interface Trace {
  readonly leaks: boolean
  readonly leakFromHour: number
  readonly hours: number
  /** Minutes of the program's time, KB after a full collection. */
  readonly readings: readonly (readonly [minute: number, kilobytes: number])[]
}

/** What a rule made of a recorded program. */
export interface TraceOutcome {
  readonly name: string
  readonly leaks: boolean
  /** Heap at the first alarm, as a multiple of the heap before the leak; absent when there was none. */
  readonly foundAtFactor?: number
}

const TRACES = join(__dirname, 'traces')

export function readTraces(): Run[] {
  return readdirSync(TRACES).map((file) => {
    const { leaks, leakFromHour, hours, readings } = JSON.parse(
      readFileSync(join(TRACES, file), 'utf8'),
    ) as Trace
    return {
      name: basename(file, '.json'),
      leaks,
      leakFromHour,
      hours,
      readings: readings.map(([minute, kilobytes]) => ({
        atMs: minute * 60_000,
        usedBytes: kilobytes * 1024,
      })),
      parts: [],
      seed: 0,
    }
  })
}

export function judgeTrace(rule: Rule, trace: Run): TraceOutcome {
  const { name, leaks, leakFromHour, readings } = trace
  const take = rule.start(trace)
  const alarm = readings.filter((reading) => take(reading)).find(({ atMs }) => atMs >= leakFromHour * HOUR_MS)
  const before = readings.findLast(({ atMs }) => atMs < leakFromHour * HOUR_MS) ?? readings[0]
  if (alarm === undefined || before === undefined) return { name, leaks }
  return { name, leaks, foundAtFactor: alarm.usedBytes / before.usedBytes }
}
