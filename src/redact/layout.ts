import { parseJson } from '../base/globals'
import { damaged, type Input } from './input'

/** Maximum length of a snapshot's header, bytes. V8 writes headers of about 2 KiB. */
const MAX_HEADER_BYTES = 200 * 1024
/** Keys of the header that are kept: they describe the format and hold no text of the application. */
const HEADER_KEYS = [
  'meta',
  'node_count',
  'edge_count',
  'trace_function_count',
  'root_index',
  'extra_native_bytes',
]

/** Types of nodes (objects in the snapshot) whose `name` field holds a value, such as a string, and not a name in the code. */
const VALUE_TYPES: readonly unknown[] = [
  ...['string', 'concatenated string', 'sliced string', 'regexp', 'number', 'symbol', 'bigint'],
]

/** The four kinds of edges (references between objects). They decide how redaction treats the name or the index of an edge. */
export const ELEMENT = 0
export const HIDDEN = 1
export const PROPERTY = 2
export const NAMED = 3

/** The format of one snapshot, as its header describes it: what the numbers of its nodes (objects) and edges mean. */
export interface Layout {
  /** The header for the redacted snapshot. */
  readonly header: object
  readonly nodeCount: number
  readonly nodeFields: Fields<'type' | 'name' | 'self_size' | 'edge_count'>
  readonly edgeFields: Fields<'type' | 'name_or_index' | 'to_node'>
  /** Indexed by the type of a node: whether the node's name is a value of the application. */
  readonly isValue: readonly boolean[]
  readonly stringType: number
  readonly arrayType: number
  /** Indexed by the type of an edge: one of ELEMENT, HIDDEN, PROPERTY, NAMED. */
  readonly edgeKinds: readonly number[]
  /**
   * How many numbers describe one function of an allocation trace, and the positions of those that refer to names. `undefined`
   * if the snapshot has no allocation trace.
   */
  readonly functionFields: { readonly length: number; readonly names: readonly number[] } | undefined
  readonly nodesAt: number
}

/** Positions of the named fields within a node or an edge, and `length`, the number of all its fields. */
type Fields<Name extends string> = { readonly [Key in Name]: number } & { readonly length: number }

/** Reads the header of a snapshot. @throws When the file does not begin with the header of a heap snapshot. */
export function readLayout(input: Input): Layout {
  input.seek(0)
  const text = input.take(MAX_HEADER_BYTES).toString('latin1')
  const list = /\}\s*,\s*"nodes"\s*:\s*\[/.exec(text)
  if (list === null) throw damaged('it does not begin with the header of a heap snapshot')
  const { snapshot } = parseJson(`${text.slice(0, list.index)}}}`) as { snapshot?: Record<string, unknown> }
  const meta = (snapshot?.['meta'] ?? {}) as Record<string, unknown>
  const nodeTypes = listOf(listOf(meta['node_types'])[0])
  const edgeTypes = listOf(listOf(meta['edge_types'])[0])
  const functionFields = listOf(meta['trace_function_info_fields'])
  return {
    header: Object.fromEntries(
      HEADER_KEYS.flatMap((key) => (snapshot?.[key] === undefined ? [] : [[key, snapshot[key]]])),
    ),
    nodeCount: Number(snapshot?.['node_count']),
    nodeFields: fieldsOf(meta['node_fields'], ['type', 'name', 'self_size', 'edge_count']),
    edgeFields: fieldsOf(meta['edge_fields'], ['type', 'name_or_index', 'to_node']),
    isValue: nodeTypes.map((type) => VALUE_TYPES.includes(type)),
    stringType: nodeTypes.indexOf('string'),
    arrayType: nodeTypes.indexOf('array'),
    edgeKinds: edgeTypes.map(kindOf),
    functionFields:
      Number(snapshot?.['trace_function_count']) > 0
        ? {
            length: functionFields.length,
            names: ['name', 'script_name'].map((name) => functionFields.indexOf(name)),
          }
        : undefined,
    nodesAt: list.index + list[0].length,
  }
}

function kindOf(type: unknown): number {
  if (type === 'element') return ELEMENT
  if (type === 'hidden') return HIDDEN
  return type === 'property' || type === 'shortcut' ? PROPERTY : NAMED
}

function fieldsOf<Name extends string>(value: unknown, names: readonly Name[]): Fields<Name> {
  const fields = listOf(value)
  const found = names.map((name) => [name, fields.indexOf(name)] as const)
  if (found.some(([, at]) => at < 0)) throw damaged('its header lacks fields that V8 writes')
  return { ...(Object.fromEntries(found) as { [Key in Name]: number }), length: fields.length }
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? (value as unknown[]) : []
}
