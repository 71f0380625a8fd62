import { LONGEST_NAME } from '../place'
import type { Heap, HeapNode } from './toolkit'

/** Objects stand out if together they retain at least this share of the heap, 0 to 1. */
export const STANDS_OUT = 0.2
/**
 * If at least this many objects of one class each retain at least {@link STANDS_OUT} of the heap, they count as a chain: each
 * object holds the next, as in a linked list.
 */
const CHAIN = 20
/** Maximum length of the name of a class of V8, characters. The time to examine a longer one grows with its square. */
const LONGEST_SYSTEM_CLASS = 100

/** Objects that accumulate in a heap: many of one class, one large object, or a chain. */
export interface Pile {
  readonly className: string
  /** Index of one of the objects in the snapshot's nodes. */
  readonly sample: number
  readonly count: number
  readonly retainedBytes: number
  /** `true` if each object holds the next: `count` is then the number of objects that retain a large share of the heap. */
  readonly isChain?: boolean
}

/** An object that retains a large share of the heap. `owner` is the nearest object that dominates it and is not V8's own. */
interface Large {
  readonly index: number
  readonly owner?: Pile
}

/** Whether a class is internal to V8, such as `(compiled code)`: no application creates objects of it. */
export function isSystemClass(name: string): boolean {
  return (
    name.startsWith('system /') ||
    ['(system)', '(compiled code)', '(object shape)', '(array)', '(internal array)', ''].includes(name) ||
    (name.length <= LONGEST_SYSTEM_CLASS && /^\((GC|Stack|.* roots).*\)$/i.test(name))
  )
}

/** The name of an object's class in the report. For a closure, it contains the name of the function. */
function classNameOf(node: HeapNode): string {
  if (node.type() === 'closure') {
    const name = node.name().slice(0, LONGEST_NAME)
    return name === '' ? 'closure (anonymous)' : `closure ${name}`
  }
  return node.className()
}

/**
 * Finds the objects that accumulate in a heap; `undefined` if none stand out. Follows the dominator tree through the objects that
 * each retain at least {@link STANDS_OUT} of the heap, down to where many smaller objects of one class make up such a share.
 */
export function findPile(heap: Heap): Pile | undefined {
  const least = heap.totalSize * STANDS_OUT
  const node = heap.createNode(0)
  const chains = new Map<string, { count: number; first: Pile }>()
  let best: Pile | undefined
  let single: Pile | undefined
  const todo: Large[] = [{ index: heap.rootNodeIndexInternal }]
  for (let next = todo.pop(); next !== undefined; next = todo.pop()) {
    const { index } = next
    node.nodeIndex = index
    const ownBytes = node.selfSize()
    let owner = next.owner
    const retainedBytes = node.retainedSize()
    const className = classNameOf(node)
    if (index !== heap.rootNodeIndexInternal && !isSystemClass(className) && node.type() !== 'synthetic') {
      const here: Pile = { className, sample: index, count: 1, retainedBytes }
      // A large ArrayBuffer is reported as the object that retains it, such as a Buffer: programmers know that object.
      if (owner === undefined || className !== 'ArrayBuffer') owner = here
      const chain = chains.get(className) ?? { count: 0, first: here }
      chain.count += 1
      chains.set(className, chain)
    }
    if (ownBytes >= least && owner !== undefined) single = owner
    const pile = largestGroup(heap, index, least, (child) =>
      todo.push({ index: child, ...(owner && { owner }) }),
    )
    if (pile !== undefined && pile.retainedBytes > (best?.retainedBytes ?? 0)) best = pile
  }
  const chain = [...chains.values()]
    .filter(({ count }) => count >= CHAIN)
    .sort((one, other) => other.count - one.count)[0]
  if (chain !== undefined && chain.first.retainedBytes > (best?.retainedBytes ?? 0)) {
    return { ...chain.first, count: chain.count, isChain: true }
  }
  return best ?? single
}

/**
 * Groups the objects that a node directly dominates by class, and returns the group that retains the most; `undefined` if none
 * retains `least` bytes. Objects that retain as much alone are in no group: they are passed to `onLarge`.
 */
function largestGroup(
  heap: Heap,
  index: number,
  least: number,
  onLarge: (child: number) => void,
): Pile | undefined {
  const ordinal = index / heap.nodeFieldCount
  const end = heap.firstDominatedNodeIndex[ordinal + 1] ?? 0
  const groups = new Map<
    string,
    { className: string; sample: number; count: number; retainedBytes: number }
  >()
  const node = heap.createNode(0)
  for (let at = heap.firstDominatedNodeIndex[ordinal] ?? 0; at < end; at += 1) {
    const child = heap.dominatedNodes[at] ?? 0
    node.nodeIndex = child
    const retainedBytes = node.retainedSize()
    if (retainedBytes >= least) {
      onLarge(child)
      continue
    }
    const className = classNameOf(node)
    const group = groups.get(className) ?? { className, sample: child, count: 0, retainedBytes: 0 }
    group.count += 1
    group.retainedBytes += retainedBytes
    groups.set(className, group)
  }
  return [...groups.values()]
    .filter((group) => group.retainedBytes >= least && !isSystemClass(group.className))
    .sort((one, other) => other.retainedBytes - one.retainedBytes)[0]
}
