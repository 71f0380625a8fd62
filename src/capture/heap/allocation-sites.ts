import type { HeapProfiler } from 'node:inspector'

/** A place in the code that allocates. */
export interface AllocationSite {
  readonly functionName: string
  readonly url: string
  /** Line of the function, counted from 1; 0 where V8 gives none. */
  readonly line: number
}

/** Memory that one call path has allocated and the heap still holds, as far as it was sampled. */
export interface SiteHolding extends AllocationSite {
  /** The samples that are alive: their numbers in the order of allocation, and the bytes that each represents. */
  readonly samples: readonly (readonly [ordinal: number, bytes: number])[]
}

/** A site that holds more memory than before. */
export interface GrowingSite extends AllocationSite {
  /** Growth of that memory, bytes. */
  readonly growth: number
}

/** A call path with the number that the profiler gave it. */
export interface PathHolding extends SiteHolding {
  readonly path: number
}

/** V8's sampling heap profile. The types for Node 20 omit ids and samples; every supported Node has them. */
export interface SamplingProfile {
  readonly head: SamplingNode
  readonly samples: readonly { readonly size: number; readonly nodeId: number; readonly ordinal: number }[]
}

interface SamplingNode extends Omit<HeapProfiler.SamplingHeapProfileNode, 'children'> {
  readonly id: number
  readonly children: readonly SamplingNode[]
}

/** Lists the memory that each call path has allocated and the heap still holds. */
export function holdingsOf({ head, samples }: SamplingProfile): PathHolding[] {
  const byPath = new Map<number, (readonly [number, number])[]>()
  for (const { nodeId, ordinal, size } of samples) {
    const known = byPath.get(nodeId)
    if (known === undefined) byPath.set(nodeId, [[ordinal, size]])
    else known.push([ordinal, size])
  }
  const holdings: PathHolding[] = []
  const open: { node: SamplingNode; caller: AllocationSite | undefined }[] = [
    { node: head, caller: undefined },
  ]
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const { node, caller } = next
    const site = siteOf(node, caller)
    const held = byPath.get(node.id)
    if (held !== undefined) holdings.push({ ...site, path: node.id, samples: held })
    for (const child of node.children) open.push({ node: child, caller: site })
  }
  return holdings
}

/** Attributes what Node and V8 allocate for the application to the application's nearest function on the call path. */
function siteOf({ callFrame }: SamplingNode, caller: AllocationSite | undefined): AllocationSite {
  const { functionName, url, lineNumber } = callFrame
  const isForeign = url === '' || url.startsWith('node:')
  if (isForeign && caller !== undefined && caller.url !== '') return caller
  return { functionName: functionName || '(anonymous)', url, line: lineNumber + 1 }
}
