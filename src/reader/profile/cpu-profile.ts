import type { JsonObject } from '../json'
import { isObject, numberOr, UnreadableError } from '../json'
import type { CallTree, CpuPart, FunctionRow, Place, Verdict } from '../model'
import { describePlace, isUserCode, placeOf } from '../place'
import type { Locator } from '../source-maps'
import { NO_SOURCE_MAPS } from '../source-maps'
import { formatCount, formatMicroseconds, formatPercent } from '../units'
import { readCallFrame } from './call-frame'
import type { CallNode, LineTicks, Moment } from './call-tree'
import { addUpCalls, expectFew, nearestUserCode, percent } from './call-tree'
import { flameOverTime } from './over-time'

/**
 * A function stands out if its own share, without what it calls, is at least this percentage of the busy CPU time or, in a heap
 * profile, of the live bytes.
 */
export const STANDS_OUT_PERCENT = 20
/** If the thread was idle for at least this percentage of the profile's duration, the verdict blames no function. */
export const MOSTLY_IDLE_PERCENT = 90

/** If a profile has fewer samples than this, the verdict names no function, because percentages of so few mean nothing. */
export const LEAST_SAMPLES = 5

/** The verdict names the hottest line of a function if it has at least this percentage of the function's own samples. */
const MOSTLY_ONE_LINE_PERCENT = 50

const ROOT = '(root)'
const IDLE = '(idle)'
const PROGRAM = '(program)'
const COLLECTOR = '(garbage collector)'

/**
 * Reads a `.cpuprofile` into the part of the report that shows which code used the CPU.
 *
 * @param profile - The parsed file.
 * @param file - Name of the file, for the report.
 * @param locator - Maps places to the sources that the code was compiled from.
 * @throws UnreadableError for anything that is no CPU profile.
 */
export function readCpuProfile(profile: unknown, file: string, locator = NO_SOURCE_MAPS): CpuPart {
  const { calls, timeline, samples, durationMs } = readCpuCalls(profile, locator)
  const time = (name: string): number =>
    calls.reduce((sum, { place, self }) => (isMeta(place, name) ? sum + self : sum), 0)
  const all = calls.reduce((sum, { self }) => sum + self, 0)
  const tree = addUpCalls(calls, (place) => !isMeta(place, IDLE))
  const shares = {
    busy: percent(all - time(IDLE), all),
    idle: percent(time(IDLE), all),
    collector: percent(time(COLLECTOR), all),
    program: percent(time(PROGRAM), all),
  }
  const overTime = flameOverTime(calls, timeline)
  const begins = beginningOf(calls, timeline)
  return {
    kind: 'cpu',
    file,
    verdict: all === 0 || samples < LEAST_SAMPLES ? judgeFew(samples, durationMs) : judge(tree, shares),
    durationMs,
    samples,
    shares,
    calls: tree,
    ...(overTime && { overTime }),
    ...(begins && { begins }),
    notes: notesOn(tree, shares),
  }
}

/** A CPU profile as a call tree, and as calls in chronological order. */
export interface CpuCalls {
  /** The nodes of the call tree, callers before callees. */
  readonly calls: readonly CallNode[]
  /** In chronological order, which call was on top of the stack and for how long, µs. Empty for a profile without times. */
  readonly timeline: readonly Moment[]
  readonly samples: number
  readonly durationMs: number
}

/** Reads the call tree and the timeline of a `.cpuprofile`. @throws UnreadableError for anything that is no CPU profile. */
export function readCpuCalls(profile: unknown, locator = NO_SOURCE_MAPS): CpuCalls {
  if (!isObject(profile) || !Array.isArray(profile['nodes'])) {
    throw new UnreadableError('is not a CPU profile: it has no list of nodes')
  }
  const nodes = orderNodes(profile['nodes'] as unknown[])
  const samples = arrayOf(profile, 'samples')
  const timeline = credit(nodes, profile, samples)
  locator.learn(nodes.map(({ place }) => place))
  return {
    calls: nodes.map((node) => located(node, locator)),
    timeline,
    samples: samples.length || nodes.reduce((sum, { hits }) => sum + Math.max(0, hits), 0),
    durationMs: Math.max(0, numberOr(profile['endTime'], 0) - numberOr(profile['startTime'], 0)) / 1000,
  }
}

/**
 * Maps a node to its place in the source. If this differs, leaves out the samples by line: their lines are of the compiled code.
 */
function located({ place, parent, self, ticks }: ProfileNode, locator: Locator): CallNode {
  const source = locator.locate(place)
  const isSame = source.file === place.file && source.line === place.line
  return { place: source, parent, self, ...(isSame && ticks && { ticks }) }
}

function beginningOf(calls: readonly CallNode[], [first]: readonly Moment[]): CpuPart['begins'] {
  const call = first && calls[first.call]
  if (call === undefined || [IDLE, PROGRAM, COLLECTOR, ROOT].some((meta) => isMeta(call.place, meta)))
    return undefined
  let caller: CallNode | undefined = call
  while (caller !== undefined && !isUserCode(caller.place)) caller = calls[caller.parent]
  return { place: call.place, ...(caller && caller !== call && { caller: caller.place }) }
}

/** Whether a place stands for idle time, in which the thread waited for events. */
export function isIdle(place: Place): boolean {
  return isMeta(place, IDLE)
}

interface ProfileNode extends CallNode {
  readonly hits: number
  readonly id: number
}

/** Sorts the nodes of a profile: parents before children. @throws UnreadableError if they form no tree, or are too many. */
function orderNodes(raw: readonly unknown[]): ProfileNode[] {
  expectFew(raw.length)
  const byId = new Map<number, JsonObject>()
  for (const node of raw) {
    if (!isObject(node) || typeof node['id'] !== 'number') {
      throw new UnreadableError('is not a CPU profile: a node has no id')
    }
    if (byId.has(node['id'])) throw new UnreadableError(`is damaged: two nodes have the id ${node['id']}`)
    byId.set(node['id'], node)
  }
  const [first] = byId.keys()
  if (first === undefined) throw new UnreadableError('is empty: it has no nodes')
  const children = childIds(byId)
  const ordered: ProfileNode[] = []
  const seen = new Set<number>([first])
  const todo = [{ id: first, parent: -1 }]
  for (let next = todo.pop(); next !== undefined; next = todo.pop()) {
    const node = byId.get(next.id)
    if (node === undefined)
      throw new UnreadableError(`is damaged: a node has a child ${next.id} that is missing`)
    const index = ordered.push({
      id: next.id,
      parent: next.parent,
      place: placeOf(readCallFrame(node['callFrame'])),
      hits: numberOr(node['hitCount'], 0),
      ticks: ticksOf(node),
      self: 0,
    })
    for (const id of children.get(next.id) ?? []) {
      if (seen.has(id)) throw new UnreadableError(`is damaged: the node ${id} has two callers`)
      seen.add(id)
      todo.push({ id, parent: index - 1 })
    }
  }
  return ordered
}

function ticksOf(node: JsonObject): LineTicks[] {
  return arrayOf(node, 'positionTicks')
    .filter(isObject)
    .map(({ line, ticks }) => ({ line: numberOr(line, 0), ticks: numberOr(ticks, 0) }))
    .filter(({ line, ticks }) => line > 0 && ticks > 0)
}

/** The children of each node, by id. V8 writes `children` into a profile; some exporters write `parent` instead. */
function childIds(byId: ReadonlyMap<number, JsonObject>): Map<number, number[]> {
  const children = new Map<number, number[]>()
  const hasChildren = [...byId.values()].some((node) => Array.isArray(node['children']))
  for (const [id, node] of byId) {
    if (hasChildren) {
      const ids = Array.isArray(node['children']) ? (node['children'] as unknown[]) : []
      children.set(
        id,
        ids.map((child) => numberOr(child, NaN)),
      )
    } else if (typeof node['parent'] === 'number') {
      const siblings = children.get(node['parent'])
      if (siblings) siblings.push(id)
      else children.set(node['parent'], [id])
    }
  }
  return children
}

function arrayOf(profile: JsonObject, key: string): readonly unknown[] {
  const value = profile[key]
  return Array.isArray(value) ? (value as unknown[]) : []
}

/**
 * Adds to each node the microseconds for which it was on top of the stack: from each of its samples to the next sample. Returns
 * these spans in chronological order. If the profile has no times, every hit counts the same, and no spans are returned.
 */
function credit(
  nodes: readonly ProfileNode[],
  profile: JsonObject,
  samples: readonly unknown[],
): readonly Moment[] {
  const deltas = arrayOf(profile, 'timeDeltas')
  const start = numberOr(profile['startTime'], 0)
  const end = numberOr(profile['endTime'], 0)
  if (samples.length === 0 || deltas.length !== samples.length) {
    const hits = nodes.reduce((sum, node) => sum + Math.max(0, node.hits), 0)
    const each = hits > 0 && end > start ? (end - start) / hits : 1000
    for (const node of nodes) node.self = Math.max(0, node.hits) * each
    return []
  }
  const byId = new Map(nodes.map((node, index) => [node.id, index]))
  let now = start
  const timed = samples.map((id, index) => ({ id, at: (now += numberOr(deltas[index], 0)) }))
  // V8 may write a sample after a later one, with a negative delta.
  timed.sort((one, other) => one.at - other.at)
  return timed.map(({ id, at }, index) => {
    const call = byId.get(numberOr(id, NaN)) ?? -1
    const node = nodes[call]
    if (node === undefined) throw new UnreadableError(`is damaged: a sample refers to a node that is missing`)
    const until = timed[index + 1]?.at ?? Math.max(end, at)
    node.self += until - at
    return { call, value: until - at }
  })
}

function isMeta({ name, file }: Place, meta: string): boolean {
  return file === '' && name === meta
}

function judgeFew(samples: number, durationMs: number): Verdict {
  const count = samples === 0 ? 'no samples' : `only ${formatCount(samples, 'sample')}`
  return {
    found: false,
    sentence: `The profile has ${count} in ${formatMicroseconds(durationMs * 1000)}, too few to name a function.`,
    hint: 'The profile was ended early, or the thread had no CPU meanwhile. Take a longer one: dumpCpu(10000), or the option cpu.duration.',
  }
}

function judge(tree: CallTree, shares: CpuPart['shares']): Verdict {
  if (shares.idle >= MOSTLY_IDLE_PERCENT) return judgeIdle(tree, shares)
  const [top] = tree.bySelf
  if (top === undefined || top.selfPercent < STANDS_OUT_PERCENT) return judgeFlat(tree)
  if (isMeta(top.place, COLLECTOR)) {
    return {
      found: false,
      sentence: `No single function stands out: the garbage collector used ${formatPercent(top.selfPercent)} of the busy CPU time.`,
      hint: `Look for the code that allocates: take a heap profile or a heap snapshot.${largestBelow(tree)}`,
    }
  }
  if (isMeta(top.place, PROGRAM)) {
    return {
      found: false,
      sentence: `No single function stands out: ${formatPercent(top.selfPercent)} of the busy CPU time was spent in native code, outside of JavaScript.`,
      hint: `Look at addons, at JSON, zlib and crypto calls, and at page faults.${largestBelow(tree)}`,
    }
  }
  return judgeTop(top, tree)
}

function judgeTop(top: FunctionRow, tree: CallTree): Verdict {
  const caller = isUserCode(top.place) ? undefined : nearestUserCode(tree, top.place)
  const calledBy = caller === undefined ? '' : `, called by ${describePlace(caller)}`
  return {
    found: true,
    sentence: `${describePlace(top.place)} used ${formatPercent(top.selfPercent)} of the busy CPU time${calledBy}${atLine(top)}.`,
    place: top.place,
    sharePercent: top.selfPercent,
    ...inlinedHint(top),
  }
}

/**
 * The end of the verdict's sentence: the line at which the function spent at least half of its own time. Empty if there is none,
 * or if it is the function's first line or one of an inlined function.
 */
function atLine({ place, hotLine }: FunctionRow): string {
  if (!hotLine || hotLine.isInlined || !isUserCode(place)) return ''
  if (hotLine.line === place.line || hotLine.percent < MOSTLY_ONE_LINE_PERCENT) return ''
  return `, ${formatPercent(hotLine.percent)} of that at line ${hotLine.line}`
}

/** A hint if a function spent most of its own time in the code of another function, which V8 had inlined. */
function inlinedHint({ hotLine }: FunctionRow): { hint?: string } {
  if (hotLine?.isInlined !== true || hotLine.percent < MOSTLY_ONE_LINE_PERCENT) return {}
  return {
    hint:
      `${formatPercent(hotLine.percent)} of that was spent at line ${hotLine.line}, above the start of this function: ` +
      'V8 inlined the function that contains that line into this one.',
  }
}

function judgeIdle(tree: CallTree, shares: CpuPart['shares']): Verdict {
  const [top] = tree.bySelf
  const rest =
    top === undefined
      ? ''
      : ` Of this thread's busy CPU time, ${describePlace(top.place)} used the most: ${formatPercent(top.selfPercent)}.`
  return {
    found: false,
    sentence: `No function stands out: this thread was idle for ${formatPercent(shares.idle)} of the time.`,
    hint:
      'If the process used the CPU meanwhile, other threads did: the thread pool (crypto, zlib, fs, dns), ' +
      `worker threads, or V8's own collector and compiler threads.${rest}`,
  }
}

function judgeFlat(tree: CallTree): Verdict {
  const [top] = tree.bySelf
  const largest =
    top === undefined
      ? '.'
      : `: the largest, ${describePlace(top.place)}, used ${formatPercent(top.selfPercent)} of the busy CPU time.`
  return {
    found: false,
    sentence: `No single function stands out${largest}`,
    hint: `Look at the functions by total time and at the flame graph.${largestBelow(tree)}`,
  }
}

/**
 * A sentence of the hint that names the function of the application or of a package with the largest total time; of several with
 * nearly the same total, the innermost. Empty if it has less than {@link STANDS_OUT_PERCENT} of the busy time.
 */
function largestBelow(tree: CallTree): string {
  const user = tree.byTotal.filter(({ place }) => isUserCode(place))
  const most = user[0]?.total ?? 0
  const row = user.filter(({ total }) => total >= most * 0.9).at(-1)
  if (row === undefined || row.totalPercent < STANDS_OUT_PERCENT) return ''
  return ` ${formatPercent(row.totalPercent)} of the busy CPU time was spent in ${describePlace(row.place)} and what it calls.`
}

function notesOn(tree: CallTree, shares: CpuPart['shares']): string[] {
  const notes: string[] = []
  if (shares.idle > 0) {
    notes.push('(idle) is time in which the thread waited for events. The tables leave this time out.')
  }
  if (shares.program > 5) {
    notes.push(
      '(program) is native code outside of JavaScript, and code that V8 could not assign to a function.',
    )
  }
  if (shares.collector > 5) {
    notes.push('(garbage collector) stops the thread while it runs: less allocation means less of it.')
  }
  const shown = tree.bySelf.slice(0, 10)
  if (shown.some(({ place }) => place.name === '(anonymous)'))
    notes.push('(anonymous) is a function without a name: its file and line show which one.')
  if (shown.some(({ place }) => isUserCode(place))) {
    notes.push(
      'V8 inlines small functions that are called often. An inlined function may have no row: its time is then in the ' +
        'row of its caller, and the hottest line of that row may be a line of the inlined function, also in another file.',
    )
  }
  return notes
}
