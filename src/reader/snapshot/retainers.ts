import { basename } from 'node:path'
import type { Retainer } from '../model'
import { isUserCode } from '../place'
import type { Scripts } from './scripts'
import type { Heap, HeapNode } from './toolkit'

/** Maximum number of steps that are shown of the path from an object to a root of the garbage collector. */
const LONGEST_PATH = 30
/** Maximum number of closures that are examined for one scope. */
const MOST_CLOSURES = 1000
/** The toolkit gives an object that only V8 itself holds at least this distance from the roots. */
const SYSTEM_DISTANCE = 100_000_000

interface Step {
  readonly edgeName: string
  readonly edgeType: string
  readonly holder: HeapNode
}

interface Within {
  readonly heap: Heap
  readonly scripts: Scripts
  /**
   * The class of the held object. A closure of this name is its constructor, which is named only if there is no other closure.
   */
  readonly className: string
}

/** Explains what keeps an object alive: in a few words, and step by step to a root of the garbage collector. */
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

/**
 * The path to a root: from each object to its retainer that is nearest to a root. Ignores weak references, because they keep
 * nothing alive.
 */
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
 * Sort key of a retainer: its distance from the roots. Roots of V8 and compiled code come last, because they hold a function's
 * objects only while V8 compiles or runs the function.
 */
function rank(holder: HeapNode): number {
  const type = holder.type()
  return holder.distance() + (type === 'code' || type === 'synthetic' ? 2 * SYSTEM_DISTANCE : 0)
}

/** Describes the first named variable or property on the path: "Map `sessions` in shop.js, via closure of login". */
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

/** Describes the owner of a property or variable. If the owner is a plain object, describes what holds this object. */
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

/** Whether objects of this class are plain objects, without a class of the program. */
function isPlain(className: string): boolean {
  return className.startsWith('{') || className === 'Object'
}

/** Whether the holder is the global object: V8 calls it `global`, and since Node 26 `global (global*)`. */
function isGlobal(holder: HeapNode): boolean {
  return /^global( \(|$)/.test(holder.className())
}

function isNamed({ edgeType }: Step): boolean {
  return edgeType === 'property' || edgeType === 'context'
}

/** Names the file and the function through which a variable or a property is reached: " in shop.js, via closure of login". */
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

/** The closures that use a scope (at most {@link MOST_CLOSURES}), the nearest to a root first. */
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
  if (holder.name() === 'system / Context') return 'a scope (variables that functions share)'
  if (holder.type() === 'array') return 'its storage'
  const far = holder.distance() >= SYSTEM_DISTANCE ? ' (held by V8 only)' : ''
  return `${holder.className()}${far}`
}

function isUserObject(node: HeapNode): boolean {
  return node.type() === 'object' && !node.name().startsWith('system /')
}
