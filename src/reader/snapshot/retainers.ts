import { basename } from 'node:path'
import type { Retainer } from '../model'
import { isUserCode } from '../place'
import type { Scripts } from './scripts'
import type { Heap, HeapNode } from './toolkit'

/** Steps of a path that are shown. */
const LONGEST_PATH = 30
/** Functions of one scope that are looked at. */
const MOST_CLOSURES = 1000
/** From this distance on, only V8 itself holds an object. */
const SYSTEM_DISTANCE = 100_000_000

interface Step {
  readonly edgeName: string
  readonly edgeType: string
  readonly holder: HeapNode
}

interface Within {
  readonly heap: Heap
  readonly scripts: Scripts
  /** The class that is held. Its constructor shares the scope of the holder and is no explanation. */
  readonly className: string
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
    heldBy: inWords(steps.slice(Math.max(0, outside)), { heap, scripts, className }),
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
      if (best !== undefined && rank(best.holder) <= rank(holder)) continue
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

/**
 * The nearest to a root first. Roots of V8 and code come last: while V8 compiles or runs a function, they hold the function's
 * objects for that time only.
 */
function rank(holder: HeapNode): number {
  const type = holder.type()
  return holder.distance() + (type === 'code' || type === 'synthetic' ? 2 * SYSTEM_DISTANCE : 0)
}

/** The first holder with a name that a programmer knows: "Map `sessions` in shop.js, via closure of login". */
function inWords(steps: readonly Step[], within: Within): string {
  const at = steps.findIndex(isNamed)
  const named = steps[at]
  if (named === undefined) return ''
  const container = steps
    .slice(0, at)
    .findLast(({ holder }) => isUserObject(holder))
    ?.holder.className()
  const kind = container ?? (named.edgeType === 'property' ? 'property' : 'variable')
  return `${kind} \`${named.edgeName}\`${ownerInWords(steps.slice(at), within)}`
}

/** The owner of a property or variable. A plain object is described by its own holder. */
function ownerInWords(steps: readonly Step[], within: Within): string {
  const [named, ...rest] = steps
  if (named === undefined) return ''
  if (named.edgeType === 'context') return inFile(steps, within)
  const owner = named.holder.className()
  if (isGlobal(named.holder)) return ', a global'
  const next = rest.findIndex(isNamed)
  const outer = rest[next]
  if (!isPlain(owner)) return ` of ${owner}${inFile(steps, within)}`
  if (outer === undefined) return ` of ${owner}`
  const of = ` of \`${outer.edgeName}\``
  if (isGlobal(outer.holder)) return `${of}, a global`
  const outerOwner = outer.holder.className()
  const ofClass = outer.edgeType === 'property' && !isPlain(outerOwner) ? ` of ${outerOwner}` : ''
  return `${of}${ofClass}${inFile(rest.slice(next), within)}`
}

/** An object without a class of its own. */
function isPlain(className: string): boolean {
  return className.startsWith('{') || className === 'Object'
}

/** Called `global`, and since Node 26 `global (global*)`. */
function isGlobal(holder: HeapNode): boolean {
  return /^global( \(|$)/.test(holder.className())
}

function isNamed({ edgeType }: Step): boolean {
  return edgeType === 'property' || edgeType === 'context'
}

/** The file and the function through which a variable or a property is reached. */
function inFile(steps: readonly Step[], { heap, scripts, className }: Within): string {
  const [named] = steps
  const onPath = steps.map(({ holder }) => holder).filter((holder) => holder.type() === 'closure')
  const sharing = named?.edgeType === 'context' ? closuresOf(heap, named.holder) : []
  const closures = [...onPath, ...sharing]
  const others = closures.filter((closure) => closure.name() !== className)
  for (const closure of others.length > 0 ? others : closures) {
    const place = scripts.placeOf(closure, closure.name())
    if (place === undefined || !isUserCode(place)) continue
    const name = closure.name() === '' ? `an anonymous function, line ${place.line}` : closure.name()
    return ` in ${basename(place.file)}, via closure of ${name}`
  }
  return ''
}

/** The functions that share a scope, the nearest to a root first. */
export function closuresOf(heap: Heap, scope: HeapNode): HeapNode[] {
  const closures: HeapNode[] = []
  for (const retainers = scope.retainers(); retainers.hasNext(); retainers.next()) {
    const holder = heap.createNode(retainers.item().nodeIndex())
    if (holder.type() === 'closure') closures.push(holder)
    if (closures.length === MOST_CLOSURES) break
  }
  return closures.sort((one, other) => one.distance() - other.distance())
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
