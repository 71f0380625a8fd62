import type { CallTree, Flame, FunctionRow, HotLine, Place } from '../model'
import { groupOf, isUserCode } from '../place'

/** One node of a profile's call tree. In a list of nodes, callers come before their callees. */
export interface CallNode {
  readonly place: Place
  /** Index of the caller's node in the list; -1 for the root. */
  readonly parent: number
  self: number
  /** Number of samples at each line. Absent if the profile has none, or if a source map has changed the line of `place`. */
  readonly ticks?: readonly LineTicks[]
}

export interface LineTicks {
  readonly line: number
  readonly ticks: number
}

/** A span of time in which one call was on top of the stack, µs, or memory that one call allocated, bytes. */
export interface Moment {
  /** Index of the call in the list of call nodes. */
  readonly call: number
  readonly value: number
}

/** Maximum number of rows in each table. */
const ROWS = 40
const CALLERS = 3
/** Frames that are narrower than this share of the flame graph's width, 0 to 1, are left out. */
const NARROWEST = 0.0005
/** Maximum depth of a flame graph. Deeper frames are left out, because those of a deep recursion would make the page huge. */
const DEEPEST = 250

interface Tally {
  readonly place: Place
  self: number
  total: number
  readonly callers: Map<string, { place: Place; total: number }>
  readonly ticks: Map<number, number>
}

/**
 * Adds up a call tree by function. The total of a recursive function counts each stack once.
 *
 * @param isCounted - Returns `false` for the place of a node in which no code ran, such as idle time. Such nodes are left out.
 */
export function addUpCalls(nodes: readonly CallNode[], isCounted: (place: Place) => boolean): CallTree {
  const below = subtreeTotals(nodes, isCounted)
  const tallies = new Map<string, Tally>()
  const keys = nodes.map(({ place }) => keyOf(place))
  const isOutermost = outermost(nodes, keys)
  nodes.forEach((node, index) => {
    if (!isCounted(node.place) || isRoot(node)) return
    const key = keys[index] ?? ''
    const tally: Tally = tallies.get(key) ?? {
      place: node.place,
      self: 0,
      total: 0,
      callers: new Map(),
      ticks: new Map(),
    }
    tallies.set(key, tally)
    tally.self += node.self
    for (const { line, ticks } of node.ticks ?? [])
      tally.ticks.set(line, (tally.ticks.get(line) ?? 0) + ticks)
    if (!isOutermost[index]) return
    const total = below[index] ?? 0
    tally.total += total
    const caller = nodes[node.parent]
    if (caller === undefined || isRoot(caller)) return
    const callerKey = keys[node.parent] ?? ''
    const known = tally.callers.get(callerKey) ?? { place: caller.place, total: 0 }
    tally.callers.set(callerKey, { ...known, total: known.total + total })
  })
  const total = below[0] ?? 0
  const rows = [...tallies.values()].map((tally) => rowOf(tally, total))
  return {
    total,
    bySelf: rows
      .filter(({ self }) => self > 0)
      .sort((one, other) => other.self - one.self)
      .slice(0, ROWS),
    byTotal: rows
      .filter((row) => row.total > 0)
      .sort((one, other) => other.total - one.total)
      .slice(0, ROWS),
    groups: groupsOf(rows, total),
    flame: flameOf(nodes, keys, below, isCounted),
  }
}

/** A key that identifies a function by name and position: the anonymous functions of a file differ by position. */
export function keyOf({ name, file, line, column }: Place): string {
  return `${name}\n${file}\n${line}\n${column}`
}

function isRoot({ parent }: CallNode): boolean {
  return parent === -1
}

function subtreeTotals(nodes: readonly CallNode[], isCounted: (place: Place) => boolean): Float64Array {
  const totals = Float64Array.from(nodes, ({ place, self }) => (isCounted(place) ? self : 0))
  for (let index = nodes.length - 1; index > 0; index -= 1) {
    const parent = nodes[index]?.parent ?? -1
    if (parent >= 0) totals[parent] = (totals[parent] ?? 0) + (totals[index] ?? 0)
  }
  return totals
}

/** For each node, whether it is the outermost call of its function in the stack. Not recursive: stacks may be very deep. */
function outermost(nodes: readonly CallNode[], keys: readonly string[]): boolean[] {
  const children = childrenOf(nodes)
  const result = new Array<boolean>(nodes.length).fill(false)
  const onStack = new Map<string, number>()
  const todo: { index: number; isLeaving: boolean }[] =
    nodes.length > 0 ? [{ index: 0, isLeaving: false }] : []
  for (let next = todo.pop(); next !== undefined; next = todo.pop()) {
    const key = keys[next.index] ?? ''
    const depth = onStack.get(key) ?? 0
    if (next.isLeaving) {
      onStack.set(key, depth - 1)
      continue
    }
    result[next.index] = depth === 0
    onStack.set(key, depth + 1)
    todo.push({ index: next.index, isLeaving: true })
    for (const child of children[next.index] ?? []) todo.push({ index: child, isLeaving: false })
  }
  return result
}

function childrenOf(nodes: readonly CallNode[]): number[][] {
  const children: number[][] = nodes.map(() => [])
  nodes.forEach(({ parent }, index) => children[parent]?.push(index))
  return children
}

function rowOf({ place, self, total, callers, ticks }: Tally, all: number): FunctionRow {
  const hotLine = hotLineOf(ticks, place)
  return {
    place,
    group: groupOf(place),
    self,
    total,
    selfPercent: percent(self, all),
    totalPercent: percent(total, all),
    callers: [...callers.values()]
      .filter((caller) => caller.total > 0)
      .sort((one, other) => other.total - one.total)
      .slice(0, CALLERS)
      .map((caller) => ({ place: caller.place, percent: percent(caller.total, total) })),
    ...(hotLine && { hotLine }),
  }
}

/**
 * The line of a function with most samples. V8 counts the samples of an inlined function for its caller, into which it is
 * inlined. This can be seen (`isInlined`) only if the line of the inlined function lies before the beginning of the caller.
 */
function hotLineOf(ticks: ReadonlyMap<number, number>, place: Place): HotLine | undefined {
  const all = [...ticks.values()].reduce((sum, count) => sum + count, 0)
  const [hottest] = [...ticks].sort(([, one], [, other]) => other - one)
  if (hottest === undefined) return undefined
  const [line, count] = hottest
  return { line, percent: percent(count, all), isInlined: line < place.line }
}

function groupsOf(rows: readonly FunctionRow[], all: number): CallTree['groups'] {
  const sums = new Map<string, number>()
  for (const { group, self } of rows) sums.set(group, (sums.get(group) ?? 0) + self)
  return [...sums]
    .map(([name, self]) => ({ name, self, percent: percent(self, all) }))
    .filter(({ self }) => self > 0)
    .sort((one, other) => other.self - one.self)
    .slice(0, ROWS)
}

/**
 * Makes a flame graph of the call tree. All calls of one function by the same caller become one frame; the largest comes first.
 */
function flameOf(
  nodes: readonly CallNode[],
  keys: readonly string[],
  below: Float64Array,
  isCounted: (place: Place) => boolean,
): CallTree['flame'] {
  const places: Place[] = []
  const groups: string[] = []
  const indexes = new Map<string, number>()
  const indexOf = (key: string, place: Place): number => {
    const known = indexes.get(key)
    if (known !== undefined) return known
    indexes.set(key, places.length)
    groups.push(groupOf(place))
    return places.push(place) - 1
  }
  const all = below[0] ?? 0
  const children = childrenOf(nodes)
  const root: Flame = {
    place: indexOf('', { name: 'all', file: '', line: 0, column: 0 }),
    value: all,
    children: [],
  }
  const todo = [{ flame: root, sources: nodes.length > 0 ? [0] : [], depth: 0 }]
  for (let next = todo.pop(); next !== undefined; next = todo.pop()) {
    const merged = new Map<string, { value: number; sources: number[] }>()
    for (const source of next.sources) {
      for (const child of children[source] ?? []) {
        const node = nodes[child]
        if (node === undefined || !isCounted(node.place)) continue
        const entry = merged.get(keys[child] ?? '') ?? { value: 0, sources: [] }
        entry.value += below[child] ?? 0
        entry.sources.push(child)
        merged.set(keys[child] ?? '', entry)
      }
    }
    const wide = [...merged].filter(([, { value }]) => value > 0 && value >= all * NARROWEST)
    for (const [key, { value, sources }] of wide.sort(([, one], [, other]) => other.value - one.value)) {
      const place = nodes[sources[0] ?? 0]?.place
      if (place === undefined) continue
      const flame: Flame = { place: indexOf(key, place), value, children: [] }
      next.flame.children.push(flame)
      if (next.depth < DEEPEST) todo.push({ flame, sources, depth: next.depth + 1 })
    }
  }
  return { places, groups, root }
}

/**
 * The function of the application or of a package that called `callee`, directly or through functions of Node.js, for most of the
 * callee's own time or bytes.
 */
export function nearestUserCode({ flame: { places, root } }: CallTree, callee: Place): Place | undefined {
  const shares = new Map<Place, number>()
  const todo = [{ flame: root, user: undefined as Place | undefined }]
  for (let next = todo.pop(); next !== undefined; next = todo.pop()) {
    const place = places[next.flame.place]
    if (place === undefined) continue
    const user = isUserCode(place) ? place : next.user
    const own = next.flame.children.reduce((rest, { value }) => rest - value, next.flame.value)
    if (user !== undefined && keyOf(place) === keyOf(callee)) shares.set(user, (shares.get(user) ?? 0) + own)
    for (const flame of next.flame.children) todo.push({ flame, user })
  }
  return [...shares].sort(([, one], [, other]) => other - one)[0]?.[0]
}

export function percent(part: number, all: number): number {
  return all > 0 ? (part / all) * 100 : 0
}
