import { gzipSync } from 'node:zlib'
import { Function, Line, Location, Profile, Sample, StringTable, ValueType } from 'pprof-format'
import { isObject, UnreadableError } from '../json'
import type { Locator } from '../source-maps'
import type { CallNode, Moment } from './call-tree'
import { functionsOf } from './call-tree'
import { readCpuCalls } from './cpu-profile'
import { readHeapCalls } from './heap-profile'

/** Maximum number of frames in all stacks of a profile together: a hostile file may nest calls very deeply. */
const MOST_FRAMES = 20_000_000
const NANOSECONDS = 1000

/** A profile to be written for another tool. */
export interface Stacks {
  readonly file: string
  /** Unit of the values: µs of CPU time, or bytes of memory that are still in use. */
  readonly unit: 'microseconds' | 'bytes'
  readonly calls: readonly CallNode[]
  /**
   * The calls that used CPU time or allocated memory themselves, with their values; in chronological order if times are known.
   */
  readonly moments: readonly Moment[]
}

/** Reads a CPU profile or a sampling heap profile. @throws UnreadableError for anything else. */
export function readStacks(profile: unknown, file: string, locator: Locator): Stacks {
  if (isObject(profile) && Array.isArray(profile['nodes'])) {
    const { calls, timeline } = readCpuCalls(profile, locator)
    return { file, unit: 'microseconds', calls, moments: timeline.length > 0 ? timeline : counted(calls) }
  }
  const calls = readHeapCalls(profile, locator)
  return { file, unit: 'bytes', calls, moments: counted(calls) }
}

/** Converts the profile to the JSON format of https://www.speedscope.app. */
export function toSpeedscope({ file, unit, calls, moments }: Stacks): string {
  const { places, functions } = functionsOf(calls)
  const stacks = stacksOf(calls, functions, moments)
  return JSON.stringify({
    $schema: 'https://www.speedscope.app/file-format-schema.json',
    exporter: 'cpu-memory-monitor',
    name: file,
    activeProfileIndex: 0,
    shared: {
      frames: places.map(({ name, file: path, line, column }) => ({
        name,
        ...(path !== '' && { file: path }),
        ...(line > 0 && { line }),
        ...(column > 0 && { col: column }),
      })),
    },
    profiles: [
      {
        type: 'sampled',
        name: file,
        unit,
        startValue: 0,
        endValue: moments.reduce((sum, { value }) => sum + value, 0),
        samples: moments.map(({ call }) => stacks.get(call) ?? []),
        weights: moments.map(({ value }) => value),
      },
    ],
  })
}

/** Converts the profile to the gzipped format of pprof, which other tools read too. */
export function toPprof({ unit, calls }: Stacks): Buffer {
  const { places, functions } = functionsOf(calls)
  const moments = counted(calls)
  const stacks = stacksOf(calls, functions, moments)
  const stringTable = new StringTable()
  const isCpu = unit === 'microseconds'
  const type = new ValueType({
    type: stringTable.dedup(isCpu ? 'cpu' : 'inuse_space'),
    unit: stringTable.dedup(isCpu ? 'nanoseconds' : 'bytes'),
  })
  const total = moments.reduce((sum, { value }) => sum + value, 0)
  const profile = new Profile({
    sampleType: [type],
    periodType: type,
    period: 1,
    ...(isCpu && { durationNanos: Math.round(total * NANOSECONDS) }),
    function: places.map(
      ({ name, file, line }, index) =>
        new Function({
          id: index + 1,
          name: stringTable.dedup(name),
          systemName: stringTable.dedup(name),
          filename: stringTable.dedup(file),
          startLine: Math.max(0, line),
        }),
    ),
    location: places.map(
      ({ line }, index) =>
        new Location({ id: index + 1, line: [new Line({ functionId: index + 1, line: Math.max(0, line) })] }),
    ),
    sample: moments.map(
      ({ call, value }) =>
        new Sample({
          locationId: (stacks.get(call) ?? []).map((frame) => frame + 1).reverse(),
          value: [Math.round(value * (isCpu ? NANOSECONDS : 1))],
        }),
    ),
    stringTable,
  })
  return gzipSync(profile.encode())
}

function counted(calls: readonly CallNode[]): Moment[] {
  return calls.flatMap(({ self }, call) => (self > 0 ? [{ call, value: self }] : []))
}

/** For each call in `moments`, its stack: indexes of functions, the outermost first, without the root of the call tree. */
function stacksOf(
  calls: readonly CallNode[],
  functions: Int32Array,
  moments: readonly Moment[],
): ReadonlyMap<number, readonly number[]> {
  const stacks = new Map<number, number[]>()
  let written = 0
  for (const { call } of moments) {
    let stack = stacks.get(call)
    if (stack === undefined) {
      stack = []
      for (let at = call; at > 0; at = calls[at]?.parent ?? -1) {
        stack.push(functions[at] ?? 0)
        if (stack.length > MOST_FRAMES) break
      }
      stacks.set(call, stack.reverse())
    }
    written += stack.length
    if (written > MOST_FRAMES)
      throw new UnreadableError(
        `is too large to be converted: its stacks have more than ${MOST_FRAMES} frames`,
      )
  }
  return stacks
}
