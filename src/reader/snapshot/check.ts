import { isObject, numberOr, parseJson, UnreadableError } from '../json'
import { formatBytes } from '../units'

/** Maximum length of a snapshot's header (its format and counts), bytes. V8 writes 2 KiB. */
const MAX_HEADER_BYTES = 1024 * 1024
/** Maximum length of the text before the header, bytes: `{"snapshot":`, possibly with spaces. */
const MAX_PREFIX_BYTES = 100
/** Maximum size of the table of strings, bytes: the parser makes it one JavaScript string, and V8 limits a string's length. */
export const MAX_STRINGS_BYTES = 500_000_000

const REQUIRED_NODE_FIELDS = ['type', 'name', 'id', 'self_size', 'edge_count']
const REQUIRED_EDGE_FIELDS = ['type', 'name_or_index', 'to_node']

const QUOTE = 0x22
const BACKSLASH = 0x5c
const OPEN = 0x5b
const CLOSE = 0x5d
const MINUS = 0x2d
const ZERO = 0x30
const NINE = 0x39

interface Header {
  readonly nodeFields: readonly string[]
  readonly edgeFields: readonly string[]
  readonly nodeTypes: number
  readonly edgeTypes: number
  readonly nodeCount: number
  readonly edgeCount: number
  /** Types of references that have a string as their name; element and hidden references have a number. */
  readonly namedTypes: ReadonlySet<number>
  /** Names of the lists in the file (nodes, edges, strings …), in V8's order. */
  readonly sections: readonly string[]
}

/**
 * Checks that a heap snapshot is whole and consistent. The analysis depends on this: it trusts every number, and it never ends if
 * the end of the file is missing. The check takes the content in chunks, and keeps none of them in memory.
 */
export class SnapshotCheck {
  #header: Header | undefined
  #beginning = Buffer.alloc(0)
  #section: Section | undefined
  #left: string[] = []
  /** The text since the last list, to find the name of the next list. */
  #between = ''
  #strings = 0
  #references = 0
  #highestName = 0
  #isOver = false

  push(chunk: Buffer): void {
    const rest = this.#header === undefined ? this.#pushHeader(chunk) : chunk
    let at = 0
    while (at < rest.length) at = this.#section === undefined ? this.#seek(rest, at) : this.#read(rest, at)
  }

  /** Call after the last chunk. @throws UnreadableError when the snapshot is not whole. */
  end(): void {
    if (this.#header === undefined)
      throw new UnreadableError('is not a whole heap snapshot: it ends within its header')
    if (this.#section !== undefined || this.#left.length > 0 || !this.#isOver) {
      throw new UnreadableError('is not a whole heap snapshot: it is cut short')
    }
    if (this.#highestName >= this.#strings) {
      throw new UnreadableError(
        'is damaged: an object or a reference has a name that is not in the table of strings',
      )
    }
  }

  /** Collects chunks until the header is complete. Returns the bytes after the header; none while the header is incomplete. */
  #pushHeader(chunk: Buffer): Buffer {
    this.#beginning = Buffer.concat([this.#beginning, chunk])
    const text = this.#beginning.subarray(0, MAX_HEADER_BYTES).toString('latin1')
    const match = /^\s*\{\s*"snapshot"\s*:\s*/.exec(text)
    if (match === null) {
      if (text.length < MAX_PREFIX_BYTES) return Buffer.alloc(0)
      throw new UnreadableError('is not a heap snapshot')
    }
    const end = endOfObject(text, match[0].length)
    if (end === undefined) {
      if (text.length < MAX_HEADER_BYTES) return Buffer.alloc(0)
      throw new UnreadableError('is not a heap snapshot: its header is too long')
    }
    this.#header = readHeader(parseJson(text.slice(match[0].length, end)))
    this.#left = [...this.#header.sections]
    const rest = this.#beginning.subarray(end)
    this.#beginning = Buffer.alloc(0)
    return rest
  }

  /**
   * Looks for the next list's name and opening bracket. Returns the offset of the list's content; the chunk's length if the
   * bracket is not in this chunk.
   */
  #seek(chunk: Buffer, at: number): number {
    const [name] = this.#left
    for (let index = at; index < chunk.length; index += 1) {
      const byte = chunk[index] ?? 0
      if (name === undefined) {
        if (byte === 0x7d) this.#isOver = true
        else if (!isSpace(byte))
          throw new UnreadableError('is damaged: it has more data after its table of strings')
        continue
      }
      this.#between += String.fromCharCode(byte)
      if (byte !== OPEN) {
        if (this.#between.length > 1000) throw new UnreadableError(`is damaged: it has no list of ${name}`)
        continue
      }
      const found = /^\s*,\s*"(\w+)"\s*:\s*\[$/.exec(this.#between)?.[1]
      this.#between = ''
      if (found === name) {
        this.#left.shift()
        this.#section = this.#open(name)
      } else if (found !== undefined && name === 'strings') {
        // V8 of Chromium 156 writes lists of scopes before the strings, and later versions may write more lists.
        this.#section = new Numbers(ignore, ignore, true)
      } else throw new UnreadableError(`is damaged: its list of ${name} is missing`)
      return index + 1
    }
    return chunk.length
  }

  #read(chunk: Buffer, at: number): number {
    const end = this.#section?.push(chunk, at) ?? chunk.length
    if (this.#section?.isClosed === true) {
      this.#section.finish()
      this.#section = undefined
    }
    return end
  }

  #open(name: string): Section {
    const header = this.#header
    if (header === undefined) throw new UnreadableError('is damaged')
    if (name === 'nodes') return this.#openNodes(header)
    if (name === 'edges') return this.#openEdges(header)
    if (name === 'strings') return new Strings((count) => (this.#strings = count))
    if (name === 'trace_tree') return new Nested()
    return new Numbers(ignore, ignore)
  }

  #openNodes({ nodeFields, nodeTypes, nodeCount, edgeCount }: Header): Section {
    const [typeAt, nameAt, edgesAt] = ['type', 'name', 'edge_count'].map((field) => nodeFields.indexOf(field))
    let field = 0
    return new Numbers(
      (value) => {
        if (field === typeAt && value >= nodeTypes)
          throw new UnreadableError('is damaged: an object has an unknown type')
        if (field === nameAt && value > this.#highestName) this.#highestName = value
        if (field === edgesAt) this.#references += value
        field = field + 1 === nodeFields.length ? 0 : field + 1
      },
      (count) => {
        if (count !== nodeCount * nodeFields.length) {
          throw new UnreadableError(
            `is damaged: it has ${count / nodeFields.length} objects, but its header says ${nodeCount}`,
          )
        }
        if (this.#references !== edgeCount) {
          throw new UnreadableError(
            `is damaged: its objects have ${this.#references} references, but its header says ${edgeCount}`,
          )
        }
      },
    )
  }

  #openEdges({ nodeFields, edgeFields, edgeTypes, namedTypes, nodeCount, edgeCount }: Header): Section {
    const [typeAt, nameAt, toAt] = ['type', 'name_or_index', 'to_node'].map((field) =>
      edgeFields.indexOf(field),
    )
    const limit = nodeCount * nodeFields.length
    let field = 0
    let isNamed = false
    return new Numbers(
      (value) => {
        if (field === typeAt) {
          if (value >= edgeTypes) throw new UnreadableError('is damaged: a reference has an unknown type')
          isNamed = namedTypes.has(value)
        }
        if (field === nameAt && isNamed && value > this.#highestName) this.#highestName = value
        if (field === toAt && (value >= limit || value % nodeFields.length !== 0)) {
          throw new UnreadableError('is damaged: a reference does not point to an object')
        }
        field = field + 1 === edgeFields.length ? 0 : field + 1
      },
      (count) => {
        if (count !== edgeCount * edgeFields.length) {
          throw new UnreadableError(
            `is damaged: it has ${count / edgeFields.length} references, but its header says ${edgeCount}`,
          )
        }
      },
    )
  }
}

/** Whether a byte is white space. A zero byte is not, because a hole in a sparse file reads as zeros and may have any size. */
function isSpace(byte: number): boolean {
  return byte === 0x20 || (byte >= 0x09 && byte <= 0x0d)
}

function ignore(): void {
  return
}

/** Checks one list of the snapshot file, which arrives in chunks. */
interface Section {
  readonly isClosed: boolean
  /** Takes the bytes of a chunk from an offset on. Returns the offset where the list ends, or the chunk's length. */
  push(chunk: Buffer, at: number): number
  finish(): void
}

class Numbers implements Section {
  isClosed = false
  #count = 0
  #value = 0
  #isInside = false

  constructor(
    private readonly onNumber: (value: number) => void,
    private readonly onEnd: (count: number) => void,
    /** Whether numbers may be negative; else a minus sign means damage. `onNumber` gets the number without its sign. */
    private readonly isSigned = false,
  ) {}

  push(chunk: Buffer, at: number): number {
    for (let index = at; index < chunk.length; index += 1) {
      const byte = chunk[index] ?? 0
      if (byte === MINUS && this.isSigned && !this.#isInside) continue
      if (byte >= ZERO && byte <= NINE) {
        this.#value = this.#value * 10 + byte - ZERO
        this.#isInside = true
        continue
      }
      if (this.#isInside) {
        if (this.#value > Number.MAX_SAFE_INTEGER)
          throw new UnreadableError('is damaged: a number in it is too large')
        this.#count += 1
        this.onNumber(this.#value)
        this.#value = 0
        this.#isInside = false
      }
      if (byte === CLOSE) {
        this.isClosed = true
        return index + 1
      }
      if (byte !== 0x2c && !isSpace(byte))
        throw new UnreadableError('is damaged: a list of numbers contains more than numbers')
    }
    return chunk.length
  }

  finish(): void {
    this.onEnd(this.#count)
  }
}

class Strings implements Section {
  isClosed = false
  #count = 0
  #bytes = 0
  #isInside = false
  #isEscaped = false

  constructor(private readonly onEnd: (count: number) => void) {}

  push(chunk: Buffer, at: number): number {
    for (let index = at; index < chunk.length; index += 1) {
      const byte = chunk[index] ?? 0
      if (this.#isInside) {
        if (this.#isEscaped) this.#isEscaped = false
        else if (byte === BACKSLASH) this.#isEscaped = true
        else if (byte === QUOTE) this.#isInside = false
        else if (byte < 0x20) throw new UnreadableError('is damaged: a string holds a control character')
      } else if (byte === QUOTE) {
        this.#isInside = true
        this.#count += 1
      } else if (byte === CLOSE) {
        this.#note(index - at)
        this.isClosed = true
        return index + 1
      } else if (byte !== 0x2c && !isSpace(byte)) {
        throw new UnreadableError('is damaged: its table of strings contains more than strings')
      }
    }
    this.#note(chunk.length - at)
    return chunk.length
  }

  finish(): void {
    this.onEnd(this.#count)
  }

  #note(bytes: number): void {
    this.#bytes += bytes
    if (this.#bytes > MAX_STRINGS_BYTES) {
      throw new UnreadableError(`is too large: its strings take more than ${formatBytes(MAX_STRINGS_BYTES)}`)
    }
  }
}

/**
 * Finds the end of the nested lists of the allocation trace, and checks their depth. Does not check the numbers in them, but
 * refuses control characters, such as the zeros of a hole in a sparse file.
 */
class Nested implements Section {
  isClosed = false
  #depth = 1

  push(chunk: Buffer, at: number): number {
    for (let index = at; index < chunk.length; index += 1) {
      const byte = chunk[index] ?? 0
      if (byte < 0x20 && !isSpace(byte))
        throw new UnreadableError('is damaged: its allocation trace holds a control character')
      if (byte === OPEN) this.#depth += 1
      if (this.#depth > 1000)
        throw new UnreadableError('is damaged: its allocation trace is nested too deeply')
      if (byte !== CLOSE) continue
      this.#depth -= 1
      if (this.#depth > 0) continue
      this.isClosed = true
      return index + 1
    }
    return chunk.length
  }

  finish(): void {
    return
  }
}

function readHeader(value: unknown): Header {
  const meta = isObject(value) && isObject(value['meta']) ? value['meta'] : {}
  const counts = isObject(value) ? value : {}
  const nodeFields = namesIn(meta['node_fields'])
  const edgeFields = namesIn(meta['edge_fields'])
  const nodeTypes = namesIn(firstOf(meta['node_types']))
  const edgeTypes = namesIn(firstOf(meta['edge_types']))
  const hasAll =
    REQUIRED_NODE_FIELDS.every((field) => nodeFields.includes(field)) &&
    REQUIRED_EDGE_FIELDS.every((field) => edgeFields.includes(field))
  if (!hasAll || nodeFields[0] !== 'type' || edgeFields[0] !== 'type') {
    throw new UnreadableError(
      'is not a heap snapshot: its header lacks fields that V8 writes, or does not list the field `type` first',
    )
  }
  if (nodeTypes.length === 0 || edgeTypes.length === 0) {
    throw new UnreadableError('is not a heap snapshot: its header has no types of objects or references')
  }
  const nodeCount = countIn(counts, 'node_count')
  const root = numberOr(counts['root_index'], 0)
  if (root < 0 || root >= nodeCount * nodeFields.length || root % nodeFields.length !== 0) {
    throw new UnreadableError('is damaged: its header names a root that is not among its objects')
  }
  return {
    nodeFields,
    edgeFields,
    nodeTypes: nodeTypes.length,
    edgeTypes: edgeTypes.length,
    nodeCount,
    edgeCount: countIn(counts, 'edge_count'),
    sections: [
      ...['nodes', 'edges', 'trace_function_infos', 'trace_tree'],
      ...(meta['sample_fields'] === undefined ? [] : ['samples']),
      ...(meta['location_fields'] === undefined ? [] : ['locations']),
      'strings',
    ],
    namedTypes: new Set(
      edgeTypes.flatMap((type, index) => (['element', 'hidden'].includes(type) ? [] : [index])),
    ),
  }
}

function firstOf(value: unknown): unknown {
  return Array.isArray(value) ? (value as unknown[])[0] : undefined
}

function namesIn(value: unknown): readonly string[] {
  if (!Array.isArray(value)) return []
  return (value as unknown[]).filter((name) => typeof name === 'string')
}

function countIn(counts: Readonly<Record<string, unknown>>, key: string): number {
  const count = counts[key]
  if (typeof count === 'number' && Number.isInteger(count) && count > 0 && count < 2 ** 31) return count
  throw new UnreadableError(`is damaged: its header has no usable ${key}`)
}

/** Offset just after the JSON object that begins at `from`, found without parsing. `undefined` if the object does not end. */
function endOfObject(text: string, from: number): number | undefined {
  let depth = 0
  for (let index = from; index < text.length; index += 1) {
    const character = text[index]
    if (character === '"') {
      index = endOfString(text, index)
      if (index < 0) return undefined
    } else if (character === '{') depth += 1
    else if (character === '}') {
      depth -= 1
      if (depth === 0) return index + 1
    }
  }
  return undefined
}

function endOfString(text: string, from: number): number {
  for (let index = from + 1; index < text.length; index += 1) {
    if (text[index] === '\\') index += 1
    else if (text[index] === '"') return index
  }
  return -1
}
