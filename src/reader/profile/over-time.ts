import type { Flame, FlameTree, Place } from '../model'
import { groupOf } from '../place'
import type { CallNode, Moment } from './call-tree'
import { functionsOf } from './call-tree'

/**
 * Maximum number of columns in the graph: a screen hardly shows more. A profile with more samples is divided into this many columns
 * of equal time; otherwise each sample is a column.
 */
const COLUMNS = 800
/** Maximum depth of the graph. Deeper frames are left out. */
const DEEPEST = 250
/** Maximum number of frames in the graph. If there are more, the deepest levels of the graph are left out. */
const MOST_FRAMES = 10_000

/** Index in `places` of the nameless gaps. A gap below a frame stands for the function's own time before its next call. */
const GAP = 1

/** A frame that ends at the current column. It grows if the next column contains the same frame. */
interface Open {
  readonly flame: Flame
  /** Index of the function; -1 for the whole graph. */
  readonly key: number
  /** The function's own time since its last callee returned, µs. */
  own: number
}

/**
 * Makes a flame graph in chronological order. Equal frames of neighbouring columns with the same callers become one frame. If the
 * profile has more samples than columns, a column shows the stack that ran for most of the column's time.
 *
 * @returns `undefined` for a profile without times.
 */
export function flameOverTime(
  calls: readonly CallNode[],
  timeline: readonly Moment[],
): FlameTree | undefined {
  const columns = columnsOf(timeline)
  if (columns.length === 0) return undefined
  const { functions: keys } = functionsOf(calls)
  const stackOf = stacksOf(calls)
  const deepest = deepestShown(
    columns.map(({ call }) => stackOf(call)),
    keys,
  )
  const places = new Map<number, { index: number; place: Place }>()
  const indexOf = (key: number, place: Place): number => {
    const known = places.get(key) ?? { index: places.size, place }
    places.set(key, known)
    return known.index
  }
  const root: Flame = { place: indexOf(-1, named('all')), value: 0, children: [] }
  indexOf(-2, named(''))
  const open: Open[] = [{ flame: root, key: -1, own: 0 }]
  for (const { call, value } of columns) {
    const stack = stackOf(call).slice(0, deepest)
    open.length = 1 + commonLength(open.slice(1), stack, keys)
    for (const index of stack.slice(open.length - 1)) {
      const place = calls[index]?.place
      const caller = open.at(-1)
      if (place === undefined || caller === undefined) break
      if (caller.own > 0) caller.flame.children.push({ place: GAP, value: caller.own, children: [] })
      caller.own = 0
      const key = keys[index] ?? 0
      const flame: Flame = { place: indexOf(key, place), value: 0, children: [] }
      caller.flame.children.push(flame)
      open.push({ flame, key, own: 0 })
    }
    for (const { flame } of open) flame.value += value
    const top = open.at(-1)
    if (top !== undefined) top.own += value
  }
  const table = [...places.values()].map(({ place }) => place)
  return { places: table, groups: table.map(groupOf), root }
}

function named(name: string): Place {
  return { name, file: '', line: 0, column: 0 }
}

/** Divides the time into {@link COLUMNS} columns of equal width. If there are not more samples than that, each is one column. */
function columnsOf(timeline: readonly Moment[]): readonly Moment[] {
  const moments = timeline.filter(({ value }) => value > 0)
  const total = moments.reduce((sum, { value }) => sum + value, 0)
  if (moments.length <= COLUMNS || !Number.isFinite(total)) return moments
  const columns: Moment[] = []
  const width = total / COLUMNS
  let left = width
  let times = new Map<number, number>()
  for (const { call, value } of moments) {
    for (let rest = value; rest > 0;) {
      const part = Math.min(rest, left)
      times.set(call, (times.get(call) ?? 0) + part)
      rest -= part
      left -= part
      if (left > 0) continue
      columns.push({ call: longest(times), value: width })
      left = width
      times = new Map()
    }
  }
  // Because of rounding, the last column is often not quite full when the samples end.
  if (columns.length < COLUMNS && times.size > 0) columns.push({ call: longest(times), value: width })
  return columns
}

function longest(times: ReadonlyMap<number, number>): number {
  return [...times].reduce((one, other) => (other[1] > one[1] ? other : one), [0, 0] as const)[0]
}

/**
 * Returns a function that lists the stack of a call: at most {@link DEEPEST} calls from the outermost one on, without the root of
 * the call tree.
 */
function stacksOf(calls: readonly CallNode[]): (call: number) => readonly number[] {
  const depths = new Int32Array(calls.length)
  const cut = new Int32Array(calls.length)
  calls.forEach(({ parent }, index) => {
    depths[index] = parent < 0 ? 0 : (depths[parent] ?? 0) + 1
    cut[index] = (depths[index] ?? 0) <= DEEPEST ? index : (cut[parent] ?? 0)
  })
  const known = new Map<number, readonly number[]>()
  return (call) => {
    const found = known.get(call)
    if (found !== undefined) return found
    const stack: number[] = []
    for (let at = cut[call] ?? 0; at > 0; at = calls[at]?.parent ?? -1) stack.push(at)
    known.set(call, stack.reverse())
    return stack
  }
}

/** The number of levels to show, so that the graph has at most MOST_FRAMES frames. */
function deepestShown(stacks: readonly (readonly number[])[], keys: Int32Array): number {
  const counts = new Array<number>(DEEPEST).fill(0)
  let before: readonly number[] = []
  for (const stack of stacks) {
    const open = before.map((index) => ({ key: keys[index] ?? 0 }))
    for (let depth = commonLength(open, stack, keys); depth < stack.length; depth += 1)
      counts[depth] = (counts[depth] ?? 0) + 1
    before = stack
  }
  let sum = 0
  const tooDeep = counts.findIndex((count) => (sum += count) > MOST_FRAMES)
  return tooDeep < 0 ? DEEPEST : tooDeep
}

/** How many frames, from the outermost one on, are the same in two neighbouring stacks. */
function commonLength(
  open: readonly { readonly key: number }[],
  stack: readonly number[],
  keys: Int32Array,
): number {
  const end = open.findIndex(({ key }, depth) => stack[depth] === undefined || keys[stack[depth]] !== key)
  return end < 0 ? open.length : end
}
