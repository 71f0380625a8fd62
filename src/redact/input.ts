import { fstatSync, readSync } from 'node:fs'

const BUFFER_BYTES = 256 * 1024
/** A string of more bytes is data, not a name. If its end is not in the buffer yet, it is skipped and read as an empty string. */
const LONGEST_STRING_BYTES = 64 * 1024

const QUOTE = 0x22
const BACKSLASH = 0x5c
const CLOSE = 0x5d
const ZERO = 0x30
const NINE = 0x39

/** Reads a heap snapshot (JSON) from an open file in pieces, and parses its lists of numbers and strings. */
export class Input {
  readonly #fd: number
  readonly #sizeBytes: number
  readonly #buffer = Buffer.allocUnsafe(BUFFER_BYTES)
  /** Position of the buffer's first byte in the file. */
  #start = 0
  #length = 0
  #at = 0

  /**
   * @param sizeBytes - Number of bytes that may be read, from the beginning of the file: another process may append more.
   * @default the size of the file now
   */
  constructor(fd: number, sizeBytes = fstatSync(fd).size) {
    this.#fd = fd
    this.#sizeBytes = sizeBytes
  }

  get position(): number {
    return this.#start + this.#at
  }

  seek(position: number): void {
    this.#start = position
    this.#length = 0
    this.#at = 0
  }

  /** Reads the next number of a JSON list. @returns The number; -1 at the end of the list. @throws If the list is damaged. */
  number(): number {
    let value = -1
    for (;;) {
      if (this.#at >= this.#length && !this.#fill()) throw damaged('it ends within a list of numbers')
      const byte = this.#buffer[this.#at] ?? 0
      if (byte >= ZERO && byte <= NINE) {
        value = value < 0 ? byte - ZERO : value * 10 + (byte - ZERO)
        if (value > Number.MAX_SAFE_INTEGER) throw damaged('a number in it is too large')
        this.#at += 1
        continue
      }
      if (value >= 0) return value
      this.#at += 1
      if (byte === CLOSE) return -1
      if (byte !== 0x2c && !isSpace(byte)) throw damaged('a list of numbers contains more than numbers')
    }
  }

  /**
   * Reads the next string of a JSON list.
   *
   * @returns The bytes between the quotes, valid until the next call; an empty buffer for a string that is too long to be a
   * name; `undefined` at the end of the list.
   * @throws If the list is damaged.
   */
  string(): Buffer | undefined {
    for (;;) {
      if (this.#at >= this.#length && !this.#fill()) throw damaged('it ends within its strings')
      const byte = this.#buffer[this.#at] ?? 0
      this.#at += 1
      if (byte === QUOTE) break
      if (byte === CLOSE) return undefined
      if (byte !== 0x2c && !isSpace(byte))
        throw damaged('its table of strings contains values that are not strings')
    }
    let searched = this.#at
    for (;;) {
      const end = this.#buffer.indexOf(QUOTE, searched)
      if (end < 0 || end >= this.#length) {
        if (this.#length - this.#at > LONGEST_STRING_BYTES) return this.#passOver()
        const seen = Math.max(0, this.#length - this.#at)
        if (!this.#fill()) throw damaged('it ends within a string')
        searched = this.#at + seen
        continue
      }
      if (this.#isEscaped(end)) {
        searched = end + 1
        continue
      }
      const text = this.#buffer.subarray(this.#at, end)
      this.#at = end + 1
      return text
    }
  }

  /** Moves the position to the end of the next occurrence of a text. @throws If the rest of the file does not contain it. */
  find(text: string): void {
    for (;;) {
      const found = this.#buffer.indexOf(text, this.#at, 'latin1')
      if (found >= 0 && found + text.length <= this.#length) {
        this.#at = found + text.length
        return
      }
      this.#at = Math.max(this.#at, this.#length - text.length)
      if (!this.#fill()) throw damaged(`it has no ${text}`)
    }
  }

  /** Reads at most `most` bytes; none at the end of the file. The returned bytes are valid until the next call of a method. */
  take(most: number): Buffer {
    if (this.#at >= this.#length) this.#fill()
    const taken = this.#buffer.subarray(this.#at, Math.min(this.#length, this.#at + most))
    this.#at += taken.length
    return taken
  }

  /** Fills the buffer: keeps the bytes not yet parsed and reads more after them. @returns `false` at the end of the file. */
  #fill(): boolean {
    this.#buffer.copyWithin(0, this.#at, this.#length)
    this.#start += this.#at
    this.#length -= this.#at
    this.#at = 0
    const position = this.#start + this.#length
    const most = Math.min(BUFFER_BYTES - this.#length, Math.max(0, this.#sizeBytes - position))
    const count = readSync(this.#fd, this.#buffer, this.#length, most, position)
    this.#length += count
    return count > 0
  }

  #isEscaped(at: number): boolean {
    let first = at
    while (first > this.#at && this.#buffer[first - 1] === BACKSLASH) first -= 1
    return (at - first) % 2 === 1
  }

  /** Skips the rest of a string that is too long to be a name. @returns An empty buffer. */
  #passOver(): Buffer {
    let isEscaped = false
    for (;;) {
      if (this.#at >= this.#length && !this.#fill()) throw damaged('it ends within a string')
      const byte = this.#buffer[this.#at] ?? 0
      this.#at += 1
      if (isEscaped) isEscaped = false
      else if (byte === BACKSLASH) isEscaped = true
      else if (byte === QUOTE) return this.#buffer.subarray(0, 0)
    }
  }
}

function isSpace(byte: number): boolean {
  // A zero byte is not accepted as white space: parts of a file that were never written (holes) are read as zero bytes.
  return byte <= 0x20 && byte >= 0x09
}

export function damaged(how: string): Error {
  return new Error(`the snapshot cannot be redacted: ${how}`)
}
