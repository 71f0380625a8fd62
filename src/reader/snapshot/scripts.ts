import { pathOf } from '../place'
import type { Place } from '../model'
import type { Heap, HeapNode } from './toolkit'

/** Finds where the functions and constructors of a heap stand in the code. */
export interface Scripts {
  /** Place of a closure, or of the constructor of an object. */
  placeOf(node: HeapNode, name: string): Place | undefined
}

/**
 * The snapshot gives a script's number and a position with each closure; the script's name is reached through the
 * closure's shared function. One closure per script is enough.
 */
export function readScripts(heap: Heap, locate: (place: Place) => Place): Scripts {
  const files = new Map<number, string>()
  const node = heap.createNode(0)
  for (let index = 0; index < heap.nodes.length; index += heap.nodeFieldCount) {
    const location = heap.getLocation(index)
    if (location === null || files.has(location.scriptId)) continue
    node.nodeIndex = index
    const file = node.type() === 'closure' ? scriptOf(heap, node) : undefined
    if (file !== undefined) files.set(location.scriptId, file)
  }
  return {
    placeOf: ({ nodeIndex }, name) => {
      const location = heap.getLocation(nodeIndex)
      const file = location === null ? undefined : files.get(location.scriptId)
      if (location === null || file === undefined) return undefined
      return locate({ name, file, line: location.lineNumber + 1, column: location.columnNumber + 1 })
    },
  }
}

function scriptOf(heap: Heap, closure: HeapNode): string | undefined {
  const shared = target(heap, closure, ['shared'])
  const script = shared && target(heap, shared, ['script', 'script_or_debug_info'])
  const name = script?.type() === 'code' ? script.rawName() : ''
  return name === '' ? undefined : pathOf(name)
}

function target(heap: Heap, from: HeapNode, names: readonly string[]): HeapNode | undefined {
  for (const edges = from.edges(); edges.hasNext(); edges.next()) {
    const edge = edges.item()
    if (edge.type() === 'internal' && names.includes(edge.name())) return heap.createNode(edge.nodeIndex())
  }
  return undefined
}
