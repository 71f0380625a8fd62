import { isObject, numberOr, UnreadableError } from '../json'
import type { AllocationPart, CallTree, Verdict } from '../model'
import { describePlace, isUserCode, placeOf } from '../place'
import { NO_SOURCE_MAPS } from '../source-maps'
import { formatBytes, formatPercent } from '../units'
import { readCallFrame } from './call-frame'
import type { CallNode } from './call-tree'
import { addUpCalls, expectFew, nearestUserCode } from './call-tree'
import { STANDS_OUT_PERCENT } from './cpu-profile'

/**
 * Reads a `.heapprofile` into the part of the report that shows the memory still in use, by the function that allocated it.
 *
 * @param profile - The parsed file.
 * @param file - Name of the file, for the report.
 * @param locator - Maps places to the sources that the code was compiled from.
 * @throws UnreadableError for anything that is no sampling heap profile.
 */
export function readHeapProfile(profile: unknown, file: string, locator = NO_SOURCE_MAPS): AllocationPart {
  const nodes = readHeapCalls(profile, locator)
  const calls = addUpCalls(nodes, () => true)
  return {
    kind: 'allocation',
    file,
    verdict: judge(calls),
    bytes: calls.total,
    calls,
    notes: ['Sizes are estimates from samples: what is small or rare may be missing.'],
  }
}

/**
 * Reads the call tree of a `.heapprofile` as a list, callers first.
 *
 * @throws UnreadableError for anything that is no sampling heap profile.
 */
export function readHeapCalls(profile: unknown, locator = NO_SOURCE_MAPS): CallNode[] {
  if (!isObject(profile) || !isObject(profile['head'])) {
    throw new UnreadableError('is not a sampling heap profile: it has no head')
  }
  const flat = flatten(profile['head'])
  locator.learn(flat.map(({ place }) => place))
  return flat.map((node) => ({ ...node, place: locator.locate(node.place) }))
}

/** The call tree as a list, callers first. Not recursive, because a hostile file may be nested too deeply for that. */
function flatten(head: unknown): CallNode[] {
  const nodes: CallNode[] = []
  const todo = [{ node: head, parent: -1 }]
  for (let next = todo.pop(); next !== undefined; next = todo.pop()) {
    expectFew(nodes.length + 1)
    const { node, parent } = next
    if (!isObject(node)) throw new UnreadableError('is not a sampling heap profile: a node is no object')
    const place = placeOf(readCallFrame(node['callFrame']))
    const index = nodes.push({ place, parent, self: Math.max(0, numberOr(node['selfSize'], 0)) }) - 1
    const children = Array.isArray(node['children']) ? (node['children'] as unknown[]) : []
    for (const child of children) todo.push({ node: child, parent: index })
  }
  return nodes
}

function judge(calls: CallTree): Verdict {
  const [top] = calls.bySelf
  if (top === undefined) {
    return {
      found: false,
      sentence: 'The heap profile holds no samples: no sampled memory was still in use when it was taken.',
    }
  }
  const guilty = isUserCode(top.place) ? undefined : nearestUserCode(calls, top.place)
  if (top.selfPercent < STANDS_OUT_PERCENT) {
    return {
      found: false,
      sentence: `No single function stands out: the largest, ${describePlace(top.place)}, allocated ${formatPercent(top.selfPercent)} of the live bytes.`,
      hint: 'Look at the functions by total bytes, or take a heap snapshot to see what holds the memory.',
    }
  }
  const of = `${formatPercent(top.selfPercent)} of the live bytes that were sampled, ${formatBytes(top.self)}`
  if (guilty !== undefined) {
    return {
      found: true,
      sentence: `${describePlace(guilty)} allocated ${of}, through ${describePlace(top.place)}.`,
      place: guilty,
      sharePercent: top.selfPercent,
    }
  }
  return {
    found: isUserCode(top.place),
    sentence: `${describePlace(top.place)} allocated ${of}.`,
    place: top.place,
    sharePercent: top.selfPercent,
  }
}
