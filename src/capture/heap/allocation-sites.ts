import type { HeapProfiler } from 'node:inspector'

/** A function that allocates memory. For a function of Node or V8, its nearest caller in the application, if there is one. */
export interface AllocationSite {
  readonly functionName: string
  readonly url: string
  /** Line where the function begins, counted from 1; 0 if V8 does not know it. */
  readonly line: number
}

/** Sampled memory of one call path (a chain of calls): what it has allocated and the heap still holds. */
export interface SiteHolding extends AllocationSite {
  /** Samples whose objects are alive: each sample's number, in order of allocation, and the bytes that it represents. */
  readonly samples: readonly (readonly [ordinal: number, bytes: number])[]
}

/** An allocating function for which the heap holds more memory than at an earlier reading. */
export interface GrowingSite extends AllocationSite {
  /** Growth of that memory, bytes. */
  readonly growth: number
}

/** Sampled memory of one call path, with the number that V8 gave the path. */
export interface PathHolding extends SiteHolding {
  readonly path: number
}

/** V8's sampling heap profile. Node's TypeScript types omit ids and samples, but every supported Node returns them. */
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

/** Returns the function that allocated; for one of Node or V8, its nearest caller in the application, if there is one. */
function siteOf({ callFrame }: SamplingNode, caller: AllocationSite | undefined): AllocationSite {
  const { functionName, url, lineNumber } = callFrame
  const isForeign = url === '' || url.startsWith('node:')
  if (isForeign && caller !== undefined && caller.url !== '') return caller
  return { functionName: functionName || '(anonymous)', url, line: lineNumber + 1 }
}
