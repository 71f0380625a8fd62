import type { SnapshotPart } from '../../model'
import type { Heap } from '../toolkit'

const ROWS = 20
const LONGEST_STRING = 120

/** Lists strings that exist several times. A snapshot may cut long strings, so equal beginnings can count as equal strings. */
export function duplicateStrings(heap: Heap): SnapshotPart['duplicateStrings'] {
  const node = heap.createNode(0)
  const seen = new Map<string, { count: number; bytes: number }>()
  for (let index = 0; index < heap.nodes.length; index += heap.nodeFieldCount) {
    node.nodeIndex = index
    if (node.type() !== 'string') continue
    const text = node.rawName()
    const entry = seen.get(text) ?? { count: 0, bytes: 0 }
    entry.count += 1
    entry.bytes += node.selfSize()
    seen.set(text, entry)
  }
  return [...seen]
    .filter(([, { count }]) => count > 1)
    .sort(([, one], [, other]) => wasted(other) - wasted(one))
    .slice(0, ROWS)
    .map(([text, entry]) => ({ text: shortString(text), ...entry }))
}

export function shortString(text: string): string {
  return text.length > LONGEST_STRING ? `${text.slice(0, LONGEST_STRING)}…` : text
}

function wasted({ count, bytes }: { count: number; bytes: number }): number {
  return (bytes / count) * (count - 1)
}
