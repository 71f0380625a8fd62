import type { ArtefactExtension } from '../core/names'

/** A range of the file that the check wants to see next. */
export interface Range {
  readonly position: number
  readonly lengthBytes: number
}

/** A check that asks for ranges, is given their bytes, and returns why the file is not whole, or `undefined` if it is. */
export type Check = Generator<Range, string | undefined, Uint8Array>

/** How much is looked at in one go, bytes: one millisecond of scanning, so that no event loop notices. */
export const CHUNK_BYTES = 128 * 1024

/** How far from the end a snapshot's last three strings are looked for, bytes. */
export const MAX_TAIL_BYTES = 64 * 1024 * 1024

const QUOTE = 0x22
const BACKSLASH = 0x5c
const COMMA = 0x2c
const NEWLINE = 0x0a
const COLON = 0x3a

/**
 * Looks whether a file of evidence is whole. A file cut short at any byte is refused, for certain: a profile because it
 * is scanned from end to end and its outermost brace must close at the very last byte; a snapshot, too large for that,
 * because its last bytes occur nowhere else (see {@link checkSnapshot}). What a disk lost in the middle of a snapshot, a
 * hole between a good beginning and a good end, is not seen.
 */
export function checkWhole(extension: ArtefactExtension, sizeBytes: number): Check {
  switch (extension) {
    case '.cpuprofile':
      return checkProfile(sizeBytes, ['nodes', 'startTime', 'endTime'])
    case '.heapprofile':
      return checkProfile(sizeBytes, ['head'])
    case '.heapsnapshot':
      return checkSnapshot(sizeBytes)
  }
}

/** A profile is one JSON object: its depth falls to zero once, at its last byte. */
function* checkProfile(sizeBytes: number, requiredKeys: readonly string[]): Check {
  if (sizeBytes === 0) return 'it is empty'
  const scan = new ObjectScan()
  for (let position = 0; position < sizeBytes; position += CHUNK_BYTES) {
    const lengthBytes = Math.min(CHUNK_BYTES, sizeBytes - position)
    const chunk = yield { position, lengthBytes }
    if (chunk.length < lengthBytes) return 'it shrank while it was read'
    const fault = scan.push(chunk)
    if (fault !== undefined) return fault
  }
  if (!scan.closed) return 'it ends before its outermost brace closes'
  const missing = requiredKeys.filter((key) => !scan.keys.has(key))
  return missing.length === 0 ? undefined : `it has no ${missing.join(', ')}`
}

/** Follows the nesting of one JSON object through chunks that may end anywhere. */
class ObjectScan {
  /** Keys of the outermost object that were seen. */
  readonly keys = new Set<string>()
  #depth = 0
  #begun = false
  #inString = false
  #escaped = false
  #text = ''

  get closed(): boolean {
    return this.#begun && this.#depth === 0
  }

  /** Takes the next bytes; returns what cannot be in a whole profile. */
  push(chunk: Uint8Array): string | undefined {
    for (const byte of chunk) {
      if (byte < 0x20 && byte !== NEWLINE && byte !== 0x0d && byte !== 0x09)
        return 'it holds bytes that are not text'
      if (this.#inString) this.#inside(byte)
      else if (this.#begun && this.#depth === 0) return 'something follows its outermost brace'
      else if (!this.#begun && byte !== 0x7b) return 'it does not begin with a brace'
      else this.#outside(byte)
    }
    return undefined
  }

  #inside(byte: number): void {
    if (this.#escaped) this.#escaped = false
    else if (byte === BACKSLASH) this.#escaped = true
    else if (byte === QUOTE) this.#inString = false
    else if (this.#depth === 1 && this.#text.length < 16) this.#text += String.fromCharCode(byte)
  }

  #outside(byte: number): void {
    this.#begun = true
    if (byte === QUOTE) {
      this.#inString = true
      this.#text = ''
    } else if (byte === 0x7b || byte === 0x5b) this.#depth += 1
    else if (byte === 0x7d || byte === 0x5d) this.#depth -= 1
    else if (byte === COLON && this.#depth === 1) this.keys.add(this.#text)
  }
}

/**
 * V8 writes a snapshot as a header, arrays of numbers, and last an array of strings that are all different; so it ends in
 * `"]}`. Where else can these three bytes stand? At the end of the header's `meta`: therefore `"nodes":[` must have been
 * seen. Inside a string, with an escaped quote: therefore the backslashes before it are counted. At the beginning of a
 * string `]}…`, with its opening quote: then what looks like the separators further back are strings, and two of them
 * cannot both be a comma.
 */
function* checkSnapshot(sizeBytes: number): Check {
  if (sizeBytes === 0) return 'it is empty'
  const head = latin1(yield { position: 0, lengthBytes: Math.min(CHUNK_BYTES, sizeBytes) })
  if (!head.startsWith('{"snapshot":{"meta":{')) return 'it does not begin as a heap snapshot does'
  if (!/\},\s*"nodes":\[/.test(head)) return 'it ends within its header'
  let tailBytes = CHUNK_BYTES
  for (;;) {
    const lengthBytes = Math.min(tailBytes, sizeBytes)
    const tail = yield { position: sizeBytes - lengthBytes, lengthBytes }
    if (tail.length < lengthBytes) return 'it shrank while it was read'
    if (latin1(tail.subarray(-3)) !== '"]}') return 'it does not end with its table of strings'
    const closes = closesStringTable(tail)
    if (closes !== undefined) return closes ? undefined : 'it ends within a string'
    if (lengthBytes === sizeBytes || tailBytes >= MAX_TAIL_BYTES) return 'it has no table of strings'
    tailBytes *= 4
  }
}

/** Reads the table backwards from its end; `undefined` when the bytes do not reach back far enough to tell. */
function closesStringTable(tail: Uint8Array): boolean | undefined {
  let closing = tail.length - 3
  if (isEscaped(tail, closing)) return false
  for (let separators = 0; separators < 2; separators += 1) {
    const opening = previousQuote(tail, closing)
    const previousClosing = previousQuote(tail, opening)
    if (previousClosing < 0) return undefined
    if (!isSeparator(tail, previousClosing + 1, opening)) return false
    closing = previousClosing
  }
  return true
}

function previousQuote(bytes: Uint8Array, before: number): number {
  let quote = before
  do {
    quote = quote <= 0 ? -1 : bytes.lastIndexOf(QUOTE, quote - 1)
  } while (quote >= 0 && isEscaped(bytes, quote))
  return quote
}

function isEscaped(bytes: Uint8Array, quote: number): boolean {
  let backslashes = 0
  while (bytes[quote - 1 - backslashes] === BACKSLASH) backslashes += 1
  return backslashes % 2 === 1
}

/** A comma, and on V8 before 13 a line feed: a raw one never stands inside a string. */
function isSeparator(bytes: Uint8Array, from: number, to: number): boolean {
  return bytes[from] === COMMA && (to - from === 1 || (to - from === 2 && bytes[from + 1] === NEWLINE))
}

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1')
}
