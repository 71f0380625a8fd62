import { UnreadableError } from '../json'
import type { CallTree, Flame, FunctionRow, HotLine, Place } from '../model'
import { groupOf, isUserCode } from '../place'
import { formatCount } from '../units'

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
/** Maximum number of frames in a flame graph. If there are more, the deepest levels of the graph are left out. */
const MOST_FRAMES = 20_000
/** The same for the characters of the names and paths of its functions, because an output has them all. */
const MOST_CHARACTERS = 8 * 1024 * 1024
/**
 * Maximum number of calls in a profile. A larger one is refused, because it would take more memory than a process has by
 * default. V8 writes some 100,000 calls into a large profile.
 */
const MOST_CALLS = 1_500_000

/** The callers of a function, by index of the function, with their totals; and the number of its samples by line. */
interface Details {
  readonly callers: Map<number, number>
  readonly ticks: Map<number, number>
}

/**
 * Adds up a call tree by function. The total of a recursive function counts each stack once.
 *
 * @param isCounted - Returns `false` for the place of a node in which no code ran, such as idle time. Such nodes are left out.
 */
export function addUpCalls(nodes: readonly CallNode[], isCounted: (place: Place) => boolean): CallTree {
  const { places, functions } = functionsOf(nodes)
  const children = childrenOf(nodes)
  const below = subtreeTotals(nodes, isCounted)
  const isOutermost = outermost(functions, children)
  const [selves, totals] = [new Float64Array(places.length), new Float64Array(places.length)]
  nodes.forEach((node, index) => {
    if (!isCounted(node.place) || isRoot(node)) return
    const at = functions[index] ?? 0
    selves[at] = (selves[at] ?? 0) + node.self
    if (isOutermost[index]) totals[at] = (totals[at] ?? 0) + (below[index] ?? 0)
  })
  const total = below[0] ?? 0
  const [bySelf, byTotal] = [largest(selves), largest(totals)]
  // Only for the functions that are shown: two Maps for each of a million functions would take more than a GB.
  const shown = new Map([...bySelf, ...byTotal].map((at): [number, Details] => [at, noDetails()]))
  nodes.forEach((node, index) => {
    const details = shown.get(functions[index] ?? 0)
    if (details === undefined || !isCounted(node.place) || isRoot(node)) return
    for (const { line, ticks } of node.ticks ?? []) add(details.ticks, line, ticks)
    const caller = nodes[node.parent]
    if (!isOutermost[index] || caller === undefined || isRoot(caller)) return
    add(details.callers, functions[node.parent] ?? 0, below[index] ?? 0)
  })
  const rowOf = (at: number): FunctionRow[] => {
    const [place, details] = [places[at], shown.get(at)]
    if (place === undefined || details === undefined) return []
    const [self, ofFunction] = [selves[at] ?? 0, totals[at] ?? 0]
    const hotLine = hotLineOf(details.ticks, place)
    return [
      {
        place,
        group: groupOf(place),
        self,
        total: ofFunction,
        selfPercent: percent(self, total),
        totalPercent: percent(ofFunction, total),
        callers: callersOf(details, places, ofFunction),
        ...(hotLine && { hotLine }),
      },
    ]
  }
  return {
    total,
    bySelf: bySelf.flatMap(rowOf),
    byTotal: byTotal.flatMap(rowOf),
    groups: groupsOf(places, selves, total),
    flame: flameOf(nodes, { places, functions }, children, below, isCounted),
  }
}

/** The functions of a call tree. */
export interface Functions {
  /** The distinct functions. The anonymous functions of a file differ by position. */
  readonly places: readonly Place[]
  /** For each call, the index of its function in `places`. */
  readonly functions: Int32Array
}

export function functionsOf(calls: readonly Pick<CallNode, 'place'>[]): Functions {
  const numberOf = numbering()
  const known = new Map<string, number>()
  const places: Place[] = []
  const functions = Int32Array.from(calls, ({ place }) => {
    const key = `${numberOf(place.name)}:${numberOf(place.file)}:${place.line}:${place.column}`
    const index = known.get(key) ?? places.push(place) - 1
    known.set(key, index)
    return index
  })
  return { places, functions }
}

/**
 * Returns a function that gives each text a number, and equal texts the same. A key is made of the numbers, because one of the
 * texts has up to 2500 characters: a million calls can share one long path, but each call would have a key of that length.
 */
export function numbering(): (text: string) => number {
  const numbers = new Map<string, number>()
  return (text) => {
    const number = numbers.get(text) ?? numbers.size
    numbers.set(text, number)
    return number
  }
}

function noDetails(): Details {
  return { callers: new Map(), ticks: new Map() }
}

function add(sums: Map<number, number>, key: number, value: number): void {
  sums.set(key, (sums.get(key) ?? 0) + value)
}

/** The indexes of the {@link ROWS} largest values above 0, the largest first. */
function largest(values: Float64Array): number[] {
  return [...values.keys()]
    .filter((at) => (values[at] ?? 0) > 0)
    .sort((one, other) => (values[other] ?? 0) - (values[one] ?? 0))
    .slice(0, ROWS)
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
function outermost(functions: Int32Array, { first, next }: Children): Uint8Array {
  const result = new Uint8Array(functions.length)
  const depths = new Int32Array(functions.length)
  // A node that is left is in the list as the complement of its index, which is negative.
  const todo = functions.length > 0 ? [0] : []
  for (let index = todo.pop(); index !== undefined; index = todo.pop()) {
    const at = functions[index < 0 ? ~index : index] ?? 0
    const depth = depths[at] ?? 0
    if (index < 0) {
      depths[at] = depth - 1
      continue
    }
    result[index] = depth === 0 ? 1 : 0
    depths[at] = depth + 1
    todo.push(~index)
    for (let child = first[index] ?? -1; child >= 0; child = next[child] ?? -1) todo.push(child)
  }
  return result
}

/** For each node, the index of its first child and of its next sibling; -1 for none. */
interface Children {
  readonly first: Int32Array
  readonly next: Int32Array
}

function childrenOf(nodes: readonly CallNode[]): Children {
  const [first, next] = [new Int32Array(nodes.length).fill(-1), new Int32Array(nodes.length).fill(-1)]
  for (let index = nodes.length - 1; index >= 0; index -= 1) {
    const parent = nodes[index]?.parent ?? -1
    if (parent < 0) continue
    next[index] = first[parent] ?? -1
    first[parent] = index
  }
  return { first, next }
}

function callersOf({ callers }: Details, places: readonly Place[], all: number): FunctionRow['callers'] {
  return [...callers]
    .filter(([, total]) => total > 0)
    .sort(([, one], [, other]) => other - one)
    .slice(0, CALLERS)
    .flatMap(([at, total]) => {
      const place = places[at]
      return place === undefined ? [] : [{ place, percent: percent(total, all) }]
    })
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

function groupsOf(places: readonly Place[], selves: Float64Array, all: number): CallTree['groups'] {
  // By file first: a file's group is found by taking its path apart, and a million functions can be of one file.
  const files = new Map<string, { place: Place; self: number }>()
  places.forEach((place, at) => {
    const known = files.get(place.file) ?? { place, self: 0 }
    known.self += selves[at] ?? 0
    files.set(place.file, known)
  })
  const sums = new Map<string, number>()
  for (const { place, self } of files.values()) {
    const group = groupOf(place)
    sums.set(group, (sums.get(group) ?? 0) + self)
  }
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
  { places: all, functions }: Functions,
  { first, next }: Children,
  below: Float64Array,
  isCounted: (place: Place) => boolean,
): CallTree['flame'] {
  const whole = below[0] ?? 0
  const places: Place[] = [{ name: 'all', file: '', line: 0, column: 0 }]
  const indexes = new Map<number, number>()
  let [frames, characters] = [1, 0]
  const indexOf = (at: number, place: Place): number => {
    const known = indexes.get(at)
    if (known !== undefined) return known
    characters += place.name.length + place.file.length
    indexes.set(at, places.length)
    return places.push(place) - 1
  }
  const root: Flame = { place: 0, value: whole, children: [] }
  const todo = [{ flame: root, sources: nodes.length > 0 ? [0] : [], depth: 0 }]
  // Level by level, because the list grows at its end: the levels that are left out are the deepest.
  for (const { flame, sources: callers, depth } of todo) {
    const merged = new Map<number, { value: number; sources: number[] }>()
    for (const caller of callers) {
      for (let child = first[caller] ?? -1; child >= 0; child = next[child] ?? -1) {
        const at = functions[child] ?? 0
        const place = all[at]
        if (place === undefined || !isCounted(place)) continue
        const entry = merged.get(at) ?? { value: 0, sources: [] }
        entry.value += below[child] ?? 0
        entry.sources.push(child)
        merged.set(at, entry)
      }
    }
    const wide = [...merged].filter(([, { value }]) => value > 0 && value >= whole * NARROWEST)
    frames += wide.length
    if (frames > MOST_FRAMES || characters > MOST_CHARACTERS) break
    for (const [at, { value, sources }] of wide.sort(([, one], [, other]) => other.value - one.value)) {
      const place = all[at]
      if (place === undefined) continue
      const child: Flame = { place: indexOf(at, place), value, children: [] }
      flame.children.push(child)
      if (depth < DEEPEST) todo.push({ flame: child, sources, depth: depth + 1 })
    }
  }
  return { places, groups: places.map(groupOf), root }
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
    if (user !== undefined && isSame(place, callee)) shares.set(user, (shares.get(user) ?? 0) + own)
    for (const flame of next.flame.children) todo.push({ flame, user })
  }
  return [...shares].sort(([, one], [, other]) => other - one)[0]?.[0]
}

function isSame(one: Place, other: Place): boolean {
  return (
    one.line === other.line &&
    one.column === other.column &&
    one.name === other.name &&
    one.file === other.file
  )
}

/** @throws UnreadableError if a profile has more than {@link MOST_CALLS} calls. */
export function expectFew(calls: number): void {
  if (calls > MOST_CALLS)
    throw new UnreadableError(`is too large: it has more than ${formatCount(MOST_CALLS, 'call')}`)
}

export function percent(part: number, all: number): number {
  return all > 0 ? (part / all) * 100 : 0
}
