import type { SnapshotPart } from '../../model'
import { isSystemClass } from '../accumulation'
import { explainRetainers } from '../retainers'
import type { Scripts } from '../scripts'
import type { Heap, HeapNode } from '../toolkit'

type ArrayRow = SnapshotPart['arrays'][number]

const ROWS = 10
/** Minimum size of an array or buffer to be listed, bytes. Node.js itself has some of 50 to 70 kB. */
const LEAST_BYTES = 100_000
/** Number of objects that are examined, the largest first. It exceeds ROWS, because some of these objects may belong to V8. */
const CANDIDATES = 100
const ELEMENT_CLASSES = 2

/**
 * Names of the references from an object to V8's arrays with its content. The toolkit adds the size of these arrays to the
 * object's.
 */
const STORAGES = ['elements', 'table', 'properties']
/** Size of an empty Array with its storage on a 64-bit machine, bytes. */
const HEAD_BYTES = 48
/** Size of one element in the storage of an Array on a 64-bit machine, bytes. */
const SLOT_BYTES = 8

const BUFFER_CONTENT = 'system / JSArrayBufferData'

/** Lists the arrays, Maps, Sets, objects with many keys, and buffers with the largest content, the largest first. */
export function largeArrays(heap: Heap, scripts: Scripts): SnapshotPart['arrays'] {
  const node = heap.createNode(0)
  const found: { index: number; bytes: number }[] = []
  for (let index = 0; index < heap.nodes.length; index += heap.nodeFieldCount) {
    node.nodeIndex = index
    const bytes = node.selfSize()
    if (bytes >= LEAST_BYTES) found.push({ index, bytes })
  }
  return found
    .sort((one, other) => other.bytes - one.bytes)
    .slice(0, CANDIDATES)
    .flatMap(({ index }) => rowOf(heap.createNode(index), heap, scripts) ?? [])
    .slice(0, ROWS)
}

function rowOf(node: HeapNode, heap: Heap, scripts: Scripts): ArrayRow | undefined {
  const bytes = node.selfSize()
  const isBuffer = node.rawName() === BUFFER_CONTENT
  const owner = isBuffer ? ownerOf(node, heap) : node
  if (owner?.type() !== 'object' || isSystemClass(owner.className())) return undefined
  const storages = isBuffer ? [] : storagesOf(owner, heap)
  if (!isBuffer && storages.length === 0) return undefined
  return {
    name: owner.className(),
    bytes,
    ...(owner.className() === 'Array' && { slots: Math.floor((bytes - HEAD_BYTES) / SLOT_BYTES) }),
    elements: elementsOf(storages, heap),
    heldBy: explainRetainers(heap, owner.nodeIndex, scripts).heldBy,
  }
}

/** The ArrayBuffer object that owns a block of bytes; `undefined` if the snapshot has none. */
function ownerOf(content: HeapNode, heap: Heap): HeapNode | undefined {
  for (const retainers = content.retainers(); retainers.hasNext(); retainers.next()) {
    const edge = retainers.item()
    if (edge.name() === 'backing_store') return heap.createNode(edge.nodeIndex())
  }
  return undefined
}

function storagesOf(owner: HeapNode, heap: Heap): HeapNode[] {
  const storages: HeapNode[] = []
  for (const edges = owner.edges(); edges.hasNext(); edges.next()) {
    const edge = edges.item()
    const storage = heap.createNode(edge.nodeIndex())
    if (edge.type() === 'internal' && STORAGES.includes(edge.name()) && storage.type() === 'array')
      storages.push(storage)
  }
  return storages
}

/**
 * The most frequent classes of the elements, with their counts. Keys count as elements. Numbers are left out, because they have
 * no class.
 */
function elementsOf(storages: readonly HeapNode[], heap: Heap): ArrayRow['elements'] {
  const counts = new Map<string, number>()
  const element = heap.createNode(0)
  for (const storage of storages) {
    for (const edges = storage.edges(); edges.hasNext(); edges.next()) {
      const edge = edges.item()
      element.nodeIndex = edge.nodeIndex()
      const name = element.className()
      if (edge.type() !== 'weak' && !isSystemClass(name)) counts.set(name, (counts.get(name) ?? 0) + 1)
    }
  }
  return [...counts]
    .sort(([, one], [, other]) => other - one)
    .slice(0, ELEMENT_CLASSES)
    .map(([className, count]) => ({ className, count }))
}
