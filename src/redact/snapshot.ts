import { parseJson, toJson } from '../base/globals'
import { damaged, Input } from './input'
import { ELEMENT, type Layout, NAMED, PROPERTY, readLayout } from './layout'
import {
  isFixedName,
  isGlobalName,
  isPrototypeName,
  isSymbolName,
  looksWritten,
  withoutContent,
} from './names'
import { Output } from './output'

/** Flag of a string in the snapshot, like all constants down to `IS_ELEMENTS`: it looks like a name that a programmer wrote. */
const LOOKS_WRITTEN = 1
/** Flag: one of V8's shapes (hidden classes) lists a property with this name. Also set for symbols and `__proto__`. */
const IN_A_SHAPE = 2
/** Flag: the string is kept, because it names something that is neither a property nor a value, such as a class or a variable. */
const IS_NAME = 4
const IS_PROPERTY = 8
const IS_FIXED = 16
const IS_GLOBAL = 32
const IS_SHAPES = 64
const IS_ELEMENTS = 128

/** Each node (object in the snapshot) has one byte: its type in the low five bits, which this mask selects, and three flags. */
const TYPE_BITS = 31
const HAS_SPARSE_ELEMENTS = 32
const IS_GLOBAL_OBJECT = 64
const IS_SHAPE = 128

/** Number of nodes, edges or strings that are read between two pauses (yields) of the generator. Reading them takes 1 to 2 ms. */
const STEP_ITEMS = 16 * 1024
const NOTHING = Buffer.alloc(0)

const POINTER_BYTES = 8
const COMMA = 0x2c
const LINE = 0x0a
const QUOTE = Buffer.from('"')

/** What is kept in memory about a snapshot while it is redacted: nine bytes for each object and one byte for each string. */
interface Heap {
  readonly layout: Layout
  readonly nodes: Uint8Array
  /** One number per node: for an array its size in words, for every other node the index of its name in the string table. */
  readonly facts: Uint32Array
  readonly edgeCounts: Uint32Array
  readonly edgesAt: number
  readonly functionsAt: number
  readonly stringsAt: number
  strings: Uint8Array
  stringCount: number
}

/**
 * Copies a heap snapshot without the contents of the heap. Names of classes, functions, files, variables and properties stay.
 * Contents of strings, regular expressions and numbers are replaced. Keys of objects and maps are replaced if they look like
 * data. Every object keeps its size and its references to other objects. Equal strings stay equal.
 *
 * A string in the snapshot's string table can be both a name and a value: the value then gets a new entry in the table. The table
 * comes last in the file, so the file is read four times: objects, strings, references, and everything while the copy is written.
 *
 * The generator pauses often, so that its thread can do other work in between. It causes hardly any garbage collection.
 *
 * @param from - File descriptor of the snapshot, a regular file.
 * @param sizeBytes - Size of the snapshot; bytes after it are not read. @default the size of the file now
 * @yields The copy chunk by chunk, each valid until the next one. Chunks are empty until the copy begins.
 * @throws Error if the snapshot is incomplete or damaged; the file system's error if it cannot be read.
 */
export function* redactedChunks(from: number, sizeBytes?: number): Generator<Buffer, void> {
  const input = new Input(from, sizeBytes)
  const heap = yield* readNodes(input, readLayout(input))
  yield* readStrings(input, heap)
  readFunctions(input, heap)
  yield* readEdges(input, heap)
  const output = new Output()
  output.text(`{"snapshot":${toJson(heap.layout.header)},\n"nodes":[`)
  const aliases = yield* writeNodes(input, output, heap)
  yield* writeEdges(input, output, heap)
  yield* writeStrings(input, output, heap, aliases)
  yield output.take()
}

/**
 * Copies a heap snapshot without the contents of the heap, in one synchronous call, as a forked child needs it.
 * {@link redactedChunks} makes the same copy with pauses.
 *
 * @param write - Called with the copy chunk by chunk; each chunk is valid until the call returns.
 * @returns Number of bytes written.
 * @throws What {@link redactedChunks} throws, and what `write` throws.
 */
export function redactSnapshot(from: number, write: (chunk: Buffer) => void, sizeBytes?: number): number {
  let written = 0
  for (const chunk of redactedChunks(from, sizeBytes)) {
    if (chunk.length > 0) write(chunk)
    written += chunk.length
  }
  return written
}

function* readNodes(input: Input, layout: Layout): Generator<Buffer, Heap> {
  const { nodeCount, nodeFields, nodesAt, isValue, arrayType } = layout
  const nodes = new Uint8Array(nodeCount)
  const facts = new Uint32Array(nodeCount)
  const edgeCounts = new Uint32Array(nodeCount)
  let names: Uint8Array = new Uint8Array(1024)
  input.seek(nodesAt)
  for (let node = 0; node < nodeCount; node += 1) {
    if (node % STEP_ITEMS === 0) yield NOTHING
    let [type, name, size] = [0, 0, 0]
    for (let field = 0; field < nodeFields.length; field += 1) {
      const value = input.number()
      if (value < 0) throw damaged('it has fewer objects than its header says')
      if (field === nodeFields.type) type = value
      else if (field === nodeFields.name) name = value
      else if (field === nodeFields.self_size) size = value
      else if (field === nodeFields.edge_count) edgeCounts[node] = value
    }
    nodes[node] = type & TYPE_BITS
    facts[node] = type === arrayType ? Math.min(0xffff_ffff, size / POINTER_BYTES) : name
    if (isValue[type] === true) continue
    if (name >= names.length) names = grown(names, name)
    names[name] = IS_NAME
  }
  if (input.number() >= 0) throw damaged('it has more objects than its header says')
  input.find('"edges"')
  input.find('[')
  const edgesAt = input.position
  input.find('"trace_function_infos"')
  input.find('[')
  const functionsAt = input.position
  input.find('"strings"')
  input.find('[')
  const common = { layout, nodes, facts, edgeCounts, edgesAt, functionsAt, stringsAt: input.position }
  return { ...common, strings: names, stringCount: 0 }
}

/** Reads the string table and stores flags for each string, judged by its text. */
function* readStrings(input: Input, heap: Heap): Generator<Buffer, void> {
  input.seek(heap.stringsAt)
  let count = 0
  for (let raw = input.string(); raw !== undefined; raw = input.string()) {
    if (count >= heap.strings.length) heap.strings = grown(heap.strings, count)
    heap.strings[count] = (heap.strings[count] ?? 0) | judge(raw)
    count += 1
    if (count % STEP_ITEMS === 0) yield NOTHING
  }
  heap.stringCount = count
}

function judge(raw: Buffer): number {
  // A string of more than 500 bytes gets no flag here: most strings of this length are data, and decoding them takes time.
  if (raw.length > 500) return 0
  const text = textOf(raw)
  let flags = looksWritten(text) ? LOOKS_WRITTEN : 0
  if (isFixedName(text)) flags |= IS_FIXED
  if (isSymbolName(text) || isPrototypeName(text)) flags |= IN_A_SHAPE
  if (isGlobalName(text)) flags |= IS_GLOBAL
  // Objects with the first two names are V8's lists of property names. A `private symbol` object refers to a field's name.
  if (['system / DescriptorArray', '(map descriptors)', 'private symbol'].includes(text)) flags |= IS_SHAPES
  if (text === 'elements') flags |= IS_ELEMENTS
  return flags
}

/** Marks the names of functions and files in an allocation trace, so that they are kept. */
function readFunctions(input: Input, heap: Heap): void {
  const { functionFields } = heap.layout
  if (functionFields === undefined) return
  input.seek(heap.functionsAt)
  let field = 0
  for (let value = input.number(); value >= 0; value = input.number()) {
    if (functionFields.names.includes(field)) mark(heap, value, IS_NAME)
    field = field + 1 === functionFields.length ? 0 : field + 1
  }
}

/** Reads all edges (references). Marks the names that may be kept, and the objects whose element indices may be data. */
function* readEdges(input: Input, heap: Heap): Generator<Buffer, void> {
  const { layout, nodes, facts, edgeCounts, strings } = heap
  const { edgeFields, edgeKinds, stringType, arrayType, nodeFields, isValue } = layout
  for (let node = 0; node < nodes.length; node += 1) {
    const type = (nodes[node] ?? 0) & TYPE_BITS
    if (type === arrayType || isValue[type] === true) continue
    const flags = strings[facts[node] ?? 0] ?? 0
    if ((flags & IS_SHAPES) !== 0) nodes[node] = type | IS_SHAPE
    if ((flags & IS_GLOBAL) !== 0) nodes[node] = type | IS_GLOBAL_OBJECT
  }
  input.seek(heap.edgesAt)
  let seen = 0
  for (let node = 0; node < nodes.length; node += 1) {
    const bits = nodes[node] ?? 0
    const edgeCount = edgeCounts[node] ?? 0
    let highestElement = -1
    let words = edgeCount
    for (let edge = 0; edge < edgeCount; edge += 1) {
      if (++seen % STEP_ITEMS === 0) yield NOTHING
      let [kind, name, to] = [NAMED, 0, 0]
      for (let field = 0; field < edgeFields.length; field += 1) {
        const value = input.number()
        if (value < 0) throw damaged('it has fewer references than its objects say')
        if (field === edgeFields.type) kind = edgeKinds[value] ?? NAMED
        else if (field === edgeFields.name_or_index) name = value
        else if (field === edgeFields.to_node) to = value / nodeFields.length
      }
      if (kind === ELEMENT) highestElement = Math.max(highestElement, name)
      else if (kind === PROPERTY) {
        const stays = (bits & IS_GLOBAL_OBJECT) !== 0 && ((strings[name] ?? 0) & LOOKS_WRITTEN) !== 0
        mark(heap, name, stays ? IS_NAME : IS_PROPERTY)
      } else if (kind === NAMED) {
        mark(heap, name, IS_NAME)
        if (((strings[name] ?? 0) & IS_ELEMENTS) !== 0) words = facts[to] ?? 0
      }
      if ((bits & IS_SHAPE) !== 0 && ((nodes[to] ?? 0) & TYPE_BITS) === stringType)
        mark(heap, facts[to] ?? 0, IN_A_SHAPE)
    }
    // If an element's index is too large for the array that holds the elements, V8 uses that array as a hash table. Its keys, the
    // indices, may be data.
    if (highestElement >= words) nodes[node] = bits | HAS_SPARSE_ELEMENTS
  }
  if (input.number() >= 0) throw damaged('it has more references than its objects say')
}

/**
 * Writes all nodes. @returns For each string that is both a name and a value: its index in the string table, and the index of the
 * new entry that stands for the value.
 */
function* writeNodes(
  input: Input,
  output: Output,
  heap: Heap,
): Generator<Buffer, ReadonlyMap<number, number>> {
  const { layout, nodes } = heap
  const { nodeFields, isValue, nodesAt } = layout
  const aliases = new Map<number, number>()
  input.seek(nodesAt)
  for (let node = 0; node < nodes.length; node += 1) {
    if (output.isFull) yield output.take()
    const isContent = isValue[(nodes[node] ?? 0) & TYPE_BITS] === true
    if (node > 0) output.byte(COMMA)
    for (let field = 0; field < nodeFields.length; field += 1) {
      const value = input.number()
      if (field > 0) output.byte(COMMA)
      output.number(field === nodeFields.name && isContent ? placeOfValue(heap, value, aliases) : value)
    }
    output.byte(LINE)
  }
  return aliases
}

function placeOfValue(heap: Heap, name: number, aliases: Map<number, number>): number {
  const flags = heap.strings[name] ?? 0
  if ((flags & IS_FIXED) !== 0 || !isKept(flags)) return name
  const known = aliases.get(name)
  if (known !== undefined) return known
  const place = heap.stringCount + aliases.size
  aliases.set(name, place)
  return place
}

function* writeEdges(input: Input, output: Output, heap: Heap): Generator<Buffer, void> {
  const { layout, nodes, edgeCounts } = heap
  const { edgeFields, edgeKinds } = layout
  output.text('],\n"edges":[')
  input.seek(heap.edgesAt)
  let isFirst = true
  for (let node = 0; node < nodes.length; node += 1) {
    const isSparse = ((nodes[node] ?? 0) & HAS_SPARSE_ELEMENTS) !== 0
    const edgeCount = edgeCounts[node] ?? 0
    let elements = 0
    for (let edge = 0; edge < edgeCount; edge += 1) {
      if (output.isFull) yield output.take()
      if (!isFirst) output.byte(COMMA)
      isFirst = false
      let kind = NAMED
      for (let field = 0; field < edgeFields.length; field += 1) {
        const value = input.number()
        if (field > 0) output.byte(COMMA)
        if (field === edgeFields.type) kind = edgeKinds[value] ?? NAMED
        const isIndex = isSparse && kind === ELEMENT && field === edgeFields.name_or_index
        output.number(isIndex ? elements++ : value)
      }
      output.byte(LINE)
    }
  }
  output.text('],\n"trace_function_infos":[')
}

/** Copies the lists of numbers between the edges and the strings, then writes the redacted string table. */
function* writeStrings(
  input: Input,
  output: Output,
  heap: Heap,
  aliases: ReadonlyMap<number, number>,
): Generator<Buffer, void> {
  const { functionsAt, stringsAt, strings, stringCount } = heap
  input.seek(functionsAt)
  while (input.position < stringsAt) {
    const bytes = input.take(stringsAt - input.position)
    if (bytes.length === 0) throw damaged('it was cut while it was read')
    output.bytes(bytes)
    if (output.isFull) yield output.take()
  }
  if (stringCount === 0) throw damaged('its table of strings is empty')
  for (let index = 0; index < stringCount; index += 1) {
    const raw = input.string()
    if (raw === undefined) throw damaged('it was changed while it was read')
    if (index > 0) output.byte(COMMA)
    const flags = strings[index] ?? 0
    if (isKept(flags) || (flags & IS_FIXED) !== 0) writeName(output, raw, index)
    else output.text(placeholder(index))
    output.byte(LINE)
    if (output.isFull) yield output.take()
  }
  for (const place of aliases.values()) {
    output.text(`,${placeholder(place)}\n`)
    if (output.isFull) yield output.take()
  }
  // A complete snapshot is recognised by its last bytes, `"]}`, so no line break follows this additional last string.
  output.text(',"(redacted)"]}')
}

function writeName(output: Output, raw: Buffer, index: number): void {
  const text = textOf(raw)
  const stays = withoutContent(text)
  if (raw.length > 0 && text === '') output.text(placeholder(index))
  else if (stays === text) {
    output.bytes(QUOTE)
    output.bytes(raw)
    output.bytes(QUOTE)
  } else output.text(toJson(stays))
}

function placeholder(index: number): string {
  return `"(redacted ${index})"`
}

function isKept(flags: number): boolean {
  if ((flags & IS_NAME) !== 0) return true
  return (flags & IS_PROPERTY) !== 0 && (flags & LOOKS_WRITTEN) !== 0 && (flags & IN_A_SHAPE) !== 0
}

function mark({ strings }: Heap, index: number, flag: number): void {
  if (index >= strings.length) throw damaged('a name is not in the table of strings')
  strings[index] = (strings[index] ?? 0) | flag
}

/** Decodes the JSON string whose bytes between the quotes are `raw`; empty when they are not valid JSON. */
function textOf(raw: Buffer): string {
  const text = raw.toString('utf8')
  if (!text.includes('\\')) return text
  try {
    return parseJson(`"${text}"`) as string
  } catch {
    return ''
  }
}

function grown(bytes: Uint8Array, index: number): Uint8Array {
  const larger = new Uint8Array(Math.max(index + 1, bytes.length * 2))
  larger.set(bytes)
  return larger
}
