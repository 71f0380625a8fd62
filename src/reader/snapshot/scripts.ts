import type { Place } from '../model'
import { LONGEST_NAME, pathOf } from '../place'
import type { Locator } from '../source-maps'
import type { Heap, HeapNode } from './toolkit'

type Location = NonNullable<ReturnType<Heap['getLocation']>>

/** Maximum number of functions that are used to judge whether source maps belong to the code. */
const MOST_PLACES = 100_000
/** Maximum number of references of an object that are examined. Its own come after its properties, of which it has a few. */
const MOST_EDGES = 1000

/** Finds where the functions and constructors of a heap snapshot are in the code. */
export interface Scripts {
  /** File and line of a closure, or of the constructor of an object; `undefined` if the snapshot does not have them. */
  placeOf(node: HeapNode, name: string): Place | undefined
}

/**
 * Reads the names of the scripts in a snapshot. Each closure has a script number and a position. The script's name is reached
 * through the closure's shared function info; the first closure that leads to a name is enough for its script.
 */
export function readScripts(heap: Heap, locator: Locator): Scripts {
  const files = new Map<number, string>()
  const named: { location: Location; name: string }[] = []
  const node = heap.createNode(0)
  for (let index = 0; index < heap.nodes.length; index += heap.nodeFieldCount) {
    const location = heap.getLocation(index)
    if (location === null) continue
    node.nodeIndex = index
    if (node.type() !== 'closure') continue
    if (named.length < MOST_PLACES && node.name() !== '') named.push({ location, name: node.name() })
    const file = files.has(location.scriptId) ? undefined : scriptOf(heap, node)
    if (file !== undefined) files.set(location.scriptId, file)
  }
  locator.learn(
    named.map(({ location, name }) => placeAt(location, files.get(location.scriptId) ?? '', name)),
  )
  return {
    placeOf: ({ nodeIndex }, name) => {
      const location = heap.getLocation(nodeIndex)
      const file = location === null ? undefined : files.get(location.scriptId)
      if (location === null || file === undefined) return undefined
      return locator.locate(placeAt(location, file, name))
    },
  }
}

function placeAt({ lineNumber, columnNumber }: Location, file: string, name: string): Place {
  return { name: name.slice(0, LONGEST_NAME), file, line: lineNumber + 1, column: columnNumber + 1 }
}

function scriptOf(heap: Heap, closure: HeapNode): string | undefined {
  const shared = target(heap, closure, ['shared'])
  const script = shared && target(heap, shared, ['script', 'script_or_debug_info'])
  // V8 of Chromium 156 puts the kind of object before the script's name.
  const name = script?.type() === 'code' ? script.rawName().replace(/^system \/ Script(?: \/ )?/, '') : ''
  return name === '' ? undefined : pathOf(name)
}

function target(heap: Heap, from: HeapNode, names: readonly string[]): HeapNode | undefined {
  let left = MOST_EDGES
  for (const edges = from.edges(); edges.hasNext() && left > 0; edges.next(), left -= 1) {
    const edge = edges.item()
    if (edge.type() === 'internal' && names.includes(edge.name())) return heap.createNode(edge.nodeIndex())
  }
  return undefined
}
