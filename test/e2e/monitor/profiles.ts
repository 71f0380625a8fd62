import { readFileSync } from 'node:fs'

interface CpuProfile {
  readonly nodes: readonly { id: number; callFrame: { functionName: string }; hitCount?: number }[]
  readonly samples: readonly number[]
}

interface HeapSnapshot {
  readonly snapshot: { meta: { node_fields: string[]; node_types: [string[]] } }
  readonly nodes: readonly number[]
  readonly strings: readonly string[]
}

/** Share of a profile's samples that lie in the function itself, 0 to 1. */
export function selfShare(file: string, functionName: string): number {
  const { nodes, samples } = JSON.parse(readFileSync(file, 'utf8')) as CpuProfile
  const ids = new Set(
    nodes.filter(({ callFrame }) => callFrame.functionName === functionName).map(({ id }) => id),
  )
  return samples.filter((id) => ids.has(id)).length / samples.length
}

/** How many objects of the class a heap snapshot holds. */
export function instances(file: string, className: string): number {
  const { snapshot, nodes, strings } = JSON.parse(readFileSync(file, 'utf8')) as HeapSnapshot
  const { node_fields: fields, node_types: types } = snapshot.meta
  const [typeAt, nameAt] = [fields.indexOf('type'), fields.indexOf('name')]
  const object = types[0].indexOf('object')
  let count = 0
  for (let at = 0; at < nodes.length; at += fields.length) {
    if (nodes[at + typeAt] === object && strings[nodes[at + nameAt] ?? 0] === className) count++
  }
  return count
}
