import type { LiveMb } from './heap'
import type { Random } from './random'

export const DAY = 24
export const WEEK = 168

/** Between 0 at the trough and 1 at the crest, once per `periodHours`; `phase` 0 begins at the trough. */
export function wave(periodHours: number, phase = 0): (hour: number) => number {
  return (hour) => (1 - Math.cos(2 * Math.PI * (hour / periodHours + phase))) / 2
}

/** Weekends have `weekendShare` of the traffic of weekdays; the process starts `startHour` hours after Monday 0:00. */
export function week(weekendShare: number, startHour: number): (hour: number) => number {
  return (hour) => ((hour + startHour) % WEEK >= 5 * DAY ? weekendShare : 1)
}

/** 0 at night, up within three hours, 1 for seven, down within three; the process starts `hoursBefore` the rise. */
export function officeHours(hoursBefore: number): (hour: number) => number {
  return (hour) => {
    const at = (hour - hoursBefore + 10 * DAY) % DAY
    return Math.max(0, Math.min(1, at / 3, (13 - at) / 3))
  }
}

/** Straight to 1 within `hours`, then full. */
export function fill(hours: number): (hour: number) => number {
  return (hour) => Math.min(1, hour / hours)
}

/** Ever more slowly to 1. */
export function saturate(hours: number): (hour: number) => number {
  return (hour) => 1 - Math.exp(-hour / hours)
}

/** From 0 to 1 and back at once. */
export function tooth(periodHours: number, phase = 0): (hour: number) => number {
  return (hour) => (hour / periodHours + phase) % 1
}

/** 1 during a batch, else 0; within one the level climbs when `climbs` is set. */
export function batch(
  everyHours: number,
  lastsHours: number,
  phase: number,
  climbs = false,
): (hour: number) => number {
  return (hour) => {
    const at = (hour + phase * everyHours) % everyHours
    if (at > lastsHours) return 0
    return climbs ? at / lastsHours : 1
  }
}

/** Teeth whose length and height differ from one to the next, heights from `least` to 1. */
export function irregularTeeth(random: Random, meanHours: number, least: number): (hour: number) => number {
  const teeth: { from: number; to: number; height: number }[] = []
  let from = 0
  while (from < 3 * WEEK) {
    const to = from + meanHours * random.between(0.4, 1.6)
    teeth.push({ from, to, height: random.between(least, 1) })
    from = to
  }
  return (hour) => {
    const current = teeth.find((candidate) => hour < candidate.to)
    return current ? (current.height * (hour - current.from)) / (current.to - current.from) : 0
  }
}

/** A height for each day, from `low` to `high`. */
export function byDay(random: Random, low: number, high: number): (hour: number) => number {
  const heights = Array.from({ length: 40 }, () => random.between(low, high))
  return (hour) => heights[Math.floor(hour / DAY) % heights.length] ?? 1
}

/** 0 until `fromHour`, then `live` counted from there. */
export function late(fromHour: number, live: LiveMb): LiveMb {
  return (hour) => (hour < fromHour ? 0 : live(hour - fromHour))
}
