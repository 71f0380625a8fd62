import type { Heap, HeapNode } from './toolkit'

/** From this share of the heap, an accumulation stands out. */
export const STANDS_OUT = 0.2
/** A chain, such as a linked list, is recognised by this many objects of one class, each holding the next. */
const CHAIN = 20

/** A place where memory accumulates. */
export interface Pile {
  readonly className: string
  /** One of the objects. */
  readonly sample: number
  readonly count: number
  readonly retainedBytes: number
  /** Each object holds the next; the count is of those that retain a large share. */
  readonly isChain?: boolean
}

/** An object that retains a large share of the heap, below the nearest object that a programmer knows. */
interface Large {
  readonly index: number
  readonly owner?: Pile
}

/** Classes that V8 has for itself; no application creates them as such. */
export function isSystemClass(name: string): boolean {
  return (
    name.startsWith('system /') ||
    ['(system)', '(compiled code)', '(object shape)', '(array)', '(internal array)', ''].includes(name) ||
    /^\((GC|Stack|.* roots).*\)$/i.test(name)
  )
}

/** The name of an object's class as a user knows it; closures are distinguished by their function. */
function classNameOf(node: HeapNode): string {
  if (node.type() === 'closure') return node.name() === '' ? 'closure (anonymous)' : `closure ${node.name()}`
  return node.className()
}

/**
 * Follows the dominator tree through the objects that each retain a large share of the heap, down to where the share divides
 * into many objects of one class: that class accumulates.
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
      // A programmer knows the buffer of a block of bytes, and not the objects between the two.
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

/** The largest group of equal objects right below a node; objects that are large themselves are looked into later. */
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
