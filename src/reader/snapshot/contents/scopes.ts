import type { SnapshotPart } from '../../model'
import { isUserCode } from '../../place'
import { isSystemClass } from '../accumulation'
import { closuresOf, explainRetainers } from '../retainers'
import type { Scripts } from '../scripts'
import type { Heap, HeapNode } from '../toolkit'

const ROWS = 10
/** The scopes of one place in the code are listed if together they retain at least this much memory, bytes. */
const LEAST_BYTES = 100_000
const VARIABLES = 3

type ScopeRow = SnapshotPart['scopes'][number]

/** All scopes (the variables of one call each) of one place in the code. */
interface Group {
  readonly count: number
  readonly retainedBytes: number
  /** Node index of the scope that retains the most. */
  readonly largest: number
  readonly largestBytes: number
}

/**
 * Lists the variables that closures keep alive after the call that created them has returned, and the contexts of the module
 * `vm`. Those that retain the most memory come first.
 */
export function keptScopes(heap: Heap, scripts: Scripts): SnapshotPart['scopes'] {
  const { scopes, vmContexts } = groupsOf(heap)
  const rows: ScopeRow[] = []
  const groups = [...scopes].filter(({ retainedBytes }) => retainedBytes >= LEAST_BYTES)
  for (const group of groups.sort((one, other) => other.retainedBytes - one.retainedBytes)) {
    const row = rowOf(group, heap, scripts)
    if (row !== undefined) rows.push(row)
    if (rows.length === ROWS) break
  }
  const vmRow = vmContexts && { name: 'vm context', ...figuresOf(vmContexts, heap, scripts), variables: [] }
  return [...(vmRow ? [vmRow] : []), ...rows].sort((one, other) => other.retainedBytes - one.retainedBytes)
}

/** Groups scopes by V8's scope info, which all scopes of one place in the code share. All contexts of `vm` are one group. */
function groupsOf(heap: Heap): { scopes: Iterable<Group>; vmContexts: Group | undefined } {
  const scopes = new Map<number, Group>()
  const native: number[] = []
  const node = heap.createNode(0)
  for (let index = 0; index < heap.nodes.length; index += heap.nodeFieldCount) {
    node.nodeIndex = index
    const name = node.rawName()
    if (name === 'system / NativeContext' && node.type() !== 'string') native.push(index)
    if (name !== 'system / Context' || node.type() === 'string') continue
    const scopeInfo = scopeInfoOf(node)
    if (scopeInfo === undefined) continue
    scopes.set(scopeInfo, enlarged(scopes.get(scopeInfo), node))
  }
  const vmContexts = native
    .map((index) => heap.createNode(index))
    .sort((one, other) => one.id() - other.id())
    // Leaves out the first context: it is the main context, in which the program itself runs.
    .slice(1)
    .reduce<Group | undefined>(enlarged, undefined)
  return { scopes: scopes.values(), vmContexts }
}

function scopeInfoOf(scope: HeapNode): number | undefined {
  for (const edges = scope.edges(); edges.hasNext(); edges.next()) {
    const edge = edges.item()
    if (edge.type() === 'internal' && edge.name() === 'scope_info') return edge.nodeIndex()
  }
  return undefined
}

function enlarged(group: Group | undefined, node: HeapNode): Group {
  const bytes = node.retainedSize()
  const { count = 0, retainedBytes = 0, largest = node.nodeIndex, largestBytes = 0 } = group ?? {}
  return {
    count: count + 1,
    retainedBytes: retainedBytes + bytes,
    largest: bytes > largestBytes ? node.nodeIndex : largest,
    largestBytes: Math.max(bytes, largestBytes),
  }
}

/** The table row of a group of scopes; `undefined` if their code is not the application's or a package's. */
function rowOf(group: Group, heap: Heap, scripts: Scripts): ScopeRow | undefined {
  const scope = heap.createNode(group.largest)
  for (const closure of closuresOf(heap, scope)) {
    const place = scripts.placeOf(closure, closure.name())
    if (place === undefined || !isUserCode(place)) continue
    const name = closure.name() === '' ? '(anonymous)' : closure.name()
    return { name, place, ...figuresOf(group, heap, scripts), variables: variablesOf(heap, scope) }
  }
  return undefined
}

function figuresOf(
  { count, retainedBytes, largest }: Group,
  heap: Heap,
  scripts: Scripts,
): Pick<ScopeRow, 'count' | 'retainedBytes' | 'heldBy'> {
  return { count, retainedBytes, heldBy: explainRetainers(heap, largest, scripts).heldBy }
}

/** Names of the variables that retain the most. Variables of a block have no name in V8: the class of the value is used. */
function variablesOf(heap: Heap, scope: HeapNode): string[] {
  const variables: { name: string; bytes: number }[] = []
  for (const edges = scope.edges(); edges.hasNext(); edges.next()) {
    const edge = edges.item()
    const value = heap.createNode(edge.nodeIndex())
    const bytes = value.retainedSize()
    if (edge.type() === 'context') variables.push({ name: edge.name(), bytes })
    if (edge.type() === 'hidden' && !isSystemClass(value.className()))
      variables.push({ name: `(${value.className()})`, bytes })
  }
  return variables
    .sort((one, other) => other.bytes - one.bytes)
    .slice(0, VARIABLES)
    .map(({ name }) => name)
}
