/** An object of a made-up heap: what it refers to, by name, and its size. */
export interface SmallNode {
  readonly type: 'synthetic' | 'object' | 'string' | 'closure' | 'code' | 'array' | 'native'
  readonly name: string
  readonly selfSize: number
  readonly edges?: readonly {
    readonly type: 'property' | 'element' | 'internal' | 'context'
    readonly name: string | number
    readonly to: number
  }[]
}

const NODE_TYPES = [
  ...['hidden', 'array', 'string', 'object', 'code', 'closure', 'regexp', 'number', 'native', 'synthetic'],
  ...['concatenated string', 'sliced string', 'symbol', 'bigint', 'object shape'],
]
const EDGE_TYPES = ['context', 'element', 'property', 'internal', 'hidden', 'shortcut', 'weak']
const NODE_FIELDS = ['type', 'name', 'id', 'self_size', 'edge_count', 'trace_node_id', 'detachedness']

/** The text of a heap snapshot as V8 writes it, of the given objects; the first is the root. `more`: lists before the strings. */
export function smallSnapshot(
  objects: readonly SmallNode[],
  change: Readonly<Record<string, unknown>> = {},
  more: Readonly<Record<string, unknown>> = {},
): string {
  const strings = ['']
  const indexOf = (text: string): number => {
    const known = strings.indexOf(text)
    return known >= 0 ? known : strings.push(text) - 1
  }
  const nodes = objects.flatMap(({ type, name, selfSize, edges = [] }, index) => [
    ...[NODE_TYPES.indexOf(type), indexOf(name), 2 * index + 1, selfSize, edges.length, 0, 0],
  ])
  const edges = objects.flatMap(({ edges: of = [] }) =>
    of.flatMap(({ type, name, to }) => [
      ...[EDGE_TYPES.indexOf(type), typeof name === 'number' ? name : indexOf(name), to * NODE_FIELDS.length],
    ]),
  )
  const snapshot = {
    meta: {
      node_fields: NODE_FIELDS,
      node_types: [NODE_TYPES, 'string', 'number', 'number', 'number', 'number', 'number'],
      edge_fields: ['type', 'name_or_index', 'to_node'],
      edge_types: [EDGE_TYPES, 'string_or_number', 'node'],
      trace_function_info_fields: ['function_id', 'name', 'script_name', 'script_id', 'line', 'column'],
      trace_node_fields: ['id', 'function_info_index', 'count', 'size', 'children'],
      sample_fields: ['timestamp_us', 'last_assigned_id'],
      location_fields: ['object_index', 'script_id', 'line', 'column'],
    },
    node_count: objects.length,
    edge_count: edges.length / 3,
    trace_function_count: 0,
    ...change,
  }
  const lists = { trace_function_infos: [], trace_tree: [], samples: [], locations: [], ...more, strings }
  return JSON.stringify({ snapshot, nodes, edges, ...lists })
}

/** A root, a holder with a property `parked`, and so many orders in it. */
export function parkedOrders(count: number, className = 'ParkedOrder'): SmallNode[] {
  const orders = Array.from({ length: count }, (): SmallNode => ({
    type: 'object',
    name: className,
    selfSize: 1000,
  }))
  return [
    { type: 'synthetic', name: '', selfSize: 0, edges: [{ type: 'element', name: 1, to: 1 }] },
    { type: 'object', name: 'global', selfSize: 10, edges: [{ type: 'property', name: 'parked', to: 2 }] },
    {
      type: 'object',
      name: 'Array',
      selfSize: 100,
      edges: orders.map((_order, index) => ({ type: 'element', name: index, to: 3 + index })),
    },
    ...orders,
  ]
}
