// Typed access to the npm package heap-snapshot-toolkit, which is the snapshot analysis of Chrome DevTools.
import { DevToolsAPI } from 'heap-snapshot-toolkit'

/** A list of 32-bit numbers that may be longer than one typed array. */
interface NumberList {
  readonly length: number
  getValue(index: number): number
}

export interface HeapNode {
  nodeIndex: number
  name(): string
  rawName(): string
  className(): string
  classKeyInternal(): string | number
  type(): string
  id(): number
  distance(): number
  selfSize(): number
  retainedSize(): number
  retainers(): { hasNext(): boolean; next(): void; item(): HeapEdge }
  edges(): { hasNext(): boolean; next(): void; item(): HeapEdge }
}

export interface HeapEdge {
  name(): string
  type(): string
  nodeIndex(): number
}

export interface HeapClass {
  readonly name: string
  readonly count: number
  readonly self: number
  readonly maxRet: number
  readonly idxs: readonly number[]
}

export interface Heap {
  readonly nodes: NumberList
  readonly nodeFieldCount: number
  readonly totalSize: number
  readonly strings: readonly string[]
  readonly dominatedNodes: ArrayLike<number>
  readonly firstDominatedNodeIndex: ArrayLike<number>
  readonly rootNodeIndexInternal: number
  createNode(index?: number): HeapNode
  rootNode(): HeapNode
  aggregatesWithFilter(filter: object): Readonly<Record<string, HeapClass>>
  getLocation(
    nodeIndex: number,
  ): { readonly scriptId: number; readonly lineNumber: number; readonly columnNumber: number } | null
  getStatistics(): {
    readonly total: number
    readonly native: { readonly total: number; readonly typedArrays: number }
    readonly v8heap: Readonly<Record<'total' | 'code' | 'jsArrays' | 'strings' | 'system', number>>
  }
}

export interface Loader {
  write(chunk: string): void
  close(): void
  readonly parsingComplete: Promise<void>
  buildSnapshot(port: MessagePort): Promise<Heap>
}

interface Dispatcher {
  sendEvent(name: string, data: unknown): void
}

interface Toolkit {
  readonly HeapSnapshotLoader: { readonly HeapSnapshotLoader: new (dispatcher: Dispatcher) => Loader }
  readonly SecondaryInitManager: new (port: MessagePort) => object
}

type MessagePort = InstanceType<typeof MessageChannel>['port1']

const toolkit = DevToolsAPI as unknown as Toolkit

export function createLoader(onProgress: (text: string) => void): Loader {
  return new toolkit.HeapSnapshotLoader.HeapSnapshotLoader({
    sendEvent: (_name, data) => onProgress(readProgress(data)),
  })
}

/** Computes sizes, distances and dominators of a loaded snapshot. */
export async function buildHeap(loader: Loader): Promise<Heap> {
  const { port1, port2 } = new MessageChannel()
  try {
    new toolkit.SecondaryInitManager(port2)
    return await loader.buildSnapshot(port1)
  } finally {
    // An open MessageChannel would keep the process alive.
    port1.close()
    port2.close()
  }
}

/** Converts a progress message of the toolkit to text. The message is JSON: a text with placeholders, and their values. */
function readProgress(data: unknown): string {
  try {
    const { string, values } = JSON.parse(String(data)) as { string: string; values?: Record<string, string> }
    return string.replace(/\{(\w+)\}/g, (_all, key: string) => values?.[key] ?? '')
  } catch {
    return 'Analysing'
  }
}
