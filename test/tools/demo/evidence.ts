import { readFile } from 'node:fs/promises'

interface CpuProfile {
  readonly nodes: readonly { readonly id: number; readonly callFrame: { readonly functionName: string } }[]
  readonly samples: readonly number[]
}

interface HeapSnapshot {
  readonly snapshot: {
    readonly meta: {
      readonly node_fields: readonly string[]
      readonly node_types: readonly [readonly string[], ...unknown[]]
    }
    readonly node_count: number
  }
  readonly nodes: readonly number[]
  readonly strings: readonly string[]
}

/** Reads a CPU profile to its last byte; rejects unless samples in it blame the function. */
export async function checkCpuProfile(file: string, functionName: string): Promise<void> {
  const { nodes, samples } = JSON.parse(await readFile(file, 'utf8')) as CpuProfile
  const guilty = new Set(
    nodes.filter((node) => node.callFrame.functionName === functionName).map(({ id }) => id),
  )
  if (!samples.some((id) => guilty.has(id))) throw new Error(`${file} does not name ${functionName}`)
}

/** Reads a heap snapshot to its last byte; rejects unless it holds objects of the class. */
export async function checkHeapSnapshot(file: string, className: string): Promise<void> {
  const { snapshot, nodes, strings } = JSON.parse(await readFile(file, 'utf8')) as HeapSnapshot
  const { node_fields: fields, node_types: types } = snapshot.meta
  if (nodes.length !== snapshot.node_count * fields.length) throw new Error(`${file} lacks nodes`)
  const objectType = types[0].indexOf('object')
  const nameOfClass = strings.indexOf(className)
  for (let node = 0; node < nodes.length; node += fields.length) {
    if (nodes[node] === objectType && nodes[node + 1] === nameOfClass) return
  }
  throw new Error(`${file} holds no ${className}`)
}
