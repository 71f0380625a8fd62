import { HOUR_MS } from './heap'
import type { Rule } from './rules'
import type { Run } from './series'

/** What one rule did in one run. */
export interface Outcome {
  readonly name: string
  readonly leaks: boolean
  /** Hours in which no leak was there. */
  readonly cleanHours: number
  /** Hours of the alarms in that time. */
  readonly falseAlarms: readonly number[]
  /** From the beginning of the leak to the first alarm after it, hours; absent when there was none. */
  readonly delayHours?: number
}

export interface Figures {
  readonly falseAlarmsPer1000Hours: number
  /** Share of the clean runs with at least one alarm. */
  readonly cleanRunsWithOne: number
  /** Share of the leaks that raised an alarm. */
  readonly found: number
  readonly medianDelayHours: number
}

export function judge(rule: Rule, run: Run): Outcome {
  const { name, leaks, readings, hours, leakFromHour } = run
  const take = rule.start(run)
  const alarms = readings.filter((reading) => take(reading)).map(({ atMs }) => atMs / HOUR_MS)
  const cleanHours = leaks ? leakFromHour : hours
  const falseAlarms = alarms.filter((hour) => hour < cleanHours)
  const first = leaks ? alarms.find((hour) => hour >= leakFromHour) : undefined
  const delay = first === undefined ? {} : { delayHours: first - leakFromHour }
  return { name, leaks, cleanHours, falseAlarms, ...delay }
}

export function figuresOf(outcomes: readonly Outcome[]): Figures {
  const clean = outcomes.filter(({ leaks }) => !leaks)
  const leaks = outcomes.filter((outcome) => outcome.leaks)
  const alarms = sum(outcomes.map(({ falseAlarms }) => falseAlarms.length))
  const delays = leaks.flatMap(({ delayHours }) => (delayHours === undefined ? [] : [delayHours]))
  return {
    falseAlarmsPer1000Hours: (1000 * alarms) / sum(outcomes.map(({ cleanHours }) => cleanHours)),
    cleanRunsWithOne: clean.filter(({ falseAlarms }) => falseAlarms.length > 0).length / clean.length,
    found: delays.length / leaks.length,
    medianDelayHours: delays.sort((a, b) => a - b)[Math.floor(delays.length / 2)] ?? Infinity,
  }
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}
