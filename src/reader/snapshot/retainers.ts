import { basename } from 'node:path'
import type { Retainer } from '../model'
import type { Scripts } from './scripts'
import type { Heap, HeapNode } from './toolkit'

/** Steps of a path that are shown. */
const LONGEST_PATH = 30
/** From this distance on, only V8 itself holds an object. */
const SYSTEM_DISTANCE = 100_000_000

interface Step {
  readonly edgeName: string
  readonly edgeType: string
  readonly holder: HeapNode
}

/** What holds an object: in a few words, and step by step down to a root. */
export function explainRetainers(
  heap: Heap,
  nodeIndex: number,
  scripts: Scripts,
): { heldBy: string; path: Retainer[] } {
  const steps = shortestPath(heap, nodeIndex)
  const className = heap.createNode(nodeIndex).className()
  const outside = steps.findIndex(({ holder }) => holder.className() !== className)
  return {
    heldBy: inWords(steps.slice(Math.max(0, outside)), scripts),
    path: steps.map((step) => describe(step, scripts)),
  }
}

/** Follows the retainer that is nearest to a root, from step to step. Weak references hold nothing. */
function shortestPath(heap: Heap, nodeIndex: number): Step[] {
  const steps: Step[] = []
  const seen = new Set([nodeIndex])
  let current = heap.createNode(nodeIndex)
  while (steps.length < LONGEST_PATH) {
    let best: Step | undefined
    for (const retainers = current.retainers(); retainers.hasNext(); retainers.next()) {
      const edge = retainers.item()
      if (edge.type() === 'weak' || seen.has(edge.nodeIndex())) continue
      const holder = heap.createNode(edge.nodeIndex())
      if (holder.type() === 'code' && holder.name().includes('Weak')) continue
      if (best !== undefined && best.holder.distance() <= holder.distance()) continue
      best = { edgeName: edge.name(), edgeType: edge.type(), holder }
    }
    if (best === undefined) break
    steps.push(best)
    if (best.holder.type() === 'synthetic' || best.holder.distance() <= 1) break
    seen.add(best.holder.nodeIndex)
    current = best.holder
  }
  return steps
}

/** The first holder with a name that a programmer knows: "Map `sessions` in shop.js, via closure of login". */
function inWords(steps: readonly Step[], scripts: Scripts): string {
  const namedAt = steps.findIndex(({ edgeType }) => edgeType === 'property' || edgeType === 'context')
  const named = steps[namedAt]
  if (named === undefined) return ''
  const container = steps.slice(0, namedAt).findLast(({ holder }) => isUserObject(holder))?.holder
  const what = container === undefined ? 'variable' : container.className()
  const from = named.edgeType === 'property' ? 'property' : what
  const name = `\`${named.edgeName}\``
  if (named.edgeType === 'property') {
    const owner = named.holder.className()
    const held = container === undefined ? `${from} ${name}` : `${what} ${name}`
    return owner === 'global'
      ? `${held}, a global`
      : `${held} of ${owner}${inFile(steps.slice(namedAt), scripts)}`
  }
  return `${what} ${name}${inFile(steps.slice(namedAt), scripts)}`
}

/** The file and the function through which a variable or a property is reached. */
function inFile(steps: readonly Step[], scripts: Scripts): string {
  for (const { holder } of steps) {
    if (holder.type() !== 'closure') continue
    const place = scripts.placeOf(holder, holder.name())
    if (place === undefined || place.file.startsWith('node:')) continue
    const name = holder.name() === '' ? `an anonymous function, line ${place.line}` : holder.name()
    return ` in ${basename(place.file)}, via closure of ${name}`
  }
  return ''
}

function describe({ edgeName, edgeType, holder }: Step, scripts: Scripts): Retainer {
  const place = holder.type() === 'closure' ? scripts.placeOf(holder, holder.name()) : undefined
  return { text: `${edgeInWords(edgeName, edgeType)} of ${holderInWords(holder)}`, ...(place && { place }) }
}

function edgeInWords(name: string, type: string): string {
  switch (type) {
    case 'property':
      return `property \`${name}\``
    case 'element':
      return `element ${name}`
    case 'context':
      return `variable \`${name}\``
    default:
      return /^\d+$/.test(name) ? `entry ${name}` : `${name} (internal)`
  }
}

function holderInWords(holder: HeapNode): string {
  if (holder.type() === 'closure') return `closure ${holder.name() === '' ? '(anonymous)' : holder.name()}`
  if (holder.type() === 'synthetic') return `root ${holder.name()}`
  if (holder.name() === 'system / Context') return 'the scope of a function'
  if (holder.type() === 'array') return 'its storage'
  const far = holder.distance() >= SYSTEM_DISTANCE ? ' (held by V8 only)' : ''
  return `${holder.className()}${far}`
}

function isUserObject(node: HeapNode): boolean {
  return node.type() === 'object' && !node.name().startsWith('system /')
}
