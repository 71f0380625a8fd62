import { parseJson } from '../base/globals'
import { damaged, type Input } from './input'

/** Longest header, bytes. V8's have 2 KiB. */
const MAX_HEADER_BYTES = 200 * 1024
/** Keys of a header that describe the format and hold no text of the application. */
const HEADER_KEYS = [
  'meta',
  'node_count',
  'edge_count',
  'trace_function_count',
  'root_index',
  'extra_native_bytes',
]

/** Types of nodes whose name is a value, and not the name of code. */
const VALUE_TYPES: readonly unknown[] = [
  ...['string', 'concatenated string', 'sliced string', 'regexp', 'number', 'symbol', 'bigint'],
]

/** The kinds of edges by how their name is treated. */
export const ELEMENT = 0
export const HIDDEN = 1
export const PROPERTY = 2
export const NAMED = 3

/** Where the parts of a snapshot stand in its file, and what its numbers mean. */
export interface Layout {
  /** The header as it is written again. */
  readonly header: object
  readonly nodeCount: number
  readonly nodeFields: Fields<'type' | 'name' | 'self_size' | 'edge_count'>
  readonly edgeFields: Fields<'type' | 'name_or_index' | 'to_node'>
  /** By the type of a node: its name is a value. */
  readonly isValue: readonly boolean[]
  readonly stringType: number
  readonly arrayType: number
  /** By the type of an edge. */
  readonly edgeKinds: readonly number[]
  /** The numbers of a traced function, and which of them are names. */
  readonly functionFields: { readonly length: number; readonly names: readonly number[] } | undefined
  readonly nodesAt: number
}

/** Positions of fields within an item, and the number of all its fields. */
type Fields<Name extends string> = { readonly [Key in Name]: number } & { readonly length: number }

/** Reads the header. @throws When it is not that of a snapshot. */
export function readLayout(input: Input): Layout {
  input.seek(0)
  const text = input.take(MAX_HEADER_BYTES).toString('latin1')
  const list = /\}\s*,\s*"nodes"\s*:\s*\[/.exec(text)
  if (list === null) throw damaged('it has no header')
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
  if (found.some(([, at]) => at < 0)) throw damaged('its header describes other fields than those of V8')
  return { ...(Object.fromEntries(found) as { [Key in Name]: number }), length: fields.length }
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? (value as unknown[]) : []
}
