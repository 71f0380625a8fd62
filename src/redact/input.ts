import { readSync } from 'node:fs'

const BUFFER_BYTES = 256 * 1024
/** A longer string is passed over without its text, bytes. */
const LONGEST_STRING_BYTES = 64 * 1024

const QUOTE = 0x22
const BACKSLASH = 0x5c
const CLOSE = 0x5d
const ZERO = 0x30
const NINE = 0x39

/** Reads an open file from any position on, in pieces, and takes it apart. */
export class Input {
  readonly #fd: number
  readonly #buffer = Buffer.allocUnsafe(BUFFER_BYTES)
  /** Position in the file of the buffer's first byte. */
  #start = 0
  #length = 0
  #at = 0

  constructor(fd: number) {
    this.#fd = fd
  }

  get position(): number {
    return this.#start + this.#at
  }

  seek(position: number): void {
    this.#start = position
    this.#length = 0
    this.#at = 0
  }

  /** The next number of a list; -1 at the list's end. @throws When something else is there. */
  number(): number {
    let value = -1
    for (;;) {
      if (this.#at >= this.#length && !this.#fill()) throw damaged('it ends within a list of numbers')
      const byte = this.#buffer[this.#at] ?? 0
      if (byte >= ZERO && byte <= NINE) {
        value = value < 0 ? byte - ZERO : value * 10 + (byte - ZERO)
        this.#at += 1
        continue
      }
      if (value >= 0) return value
      this.#at += 1
      if (byte === CLOSE) return -1
      if (byte !== 0x2c && byte > 0x20) throw damaged('a list of numbers holds something else')
    }
  }

  /**
   * The next string of a list, as it is written between its quotes; `undefined` at the list's end, and an empty one for a string that
   * is too long to be a name. The bytes are valid until the next call.
   */
  string(): Buffer | undefined {
    for (;;) {
      if (this.#at >= this.#length && !this.#fill()) throw damaged('it ends within its strings')
      const byte = this.#buffer[this.#at] ?? 0
      this.#at += 1
      if (byte === QUOTE) break
      if (byte === CLOSE) return undefined
      if (byte !== 0x2c && byte > 0x20) throw damaged('its table of strings holds something else')
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

  /** Moves behind the next occurrence of a text. @throws When there is none. */
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

  /** Reads the next bytes, at most `most` of them. They are valid until the next call. */
  take(most: number): Buffer {
    if (this.#at >= this.#length) this.#fill()
    const taken = this.#buffer.subarray(this.#at, Math.min(this.#length, this.#at + most))
    this.#at += taken.length
    return taken
  }

  /** Reads more behind what is left. */
  #fill(): boolean {
    this.#buffer.copyWithin(0, this.#at, this.#length)
    this.#start += this.#at
    this.#length -= this.#at
    this.#at = 0
    const count = readSync(
      this.#fd,
      this.#buffer,
      this.#length,
      BUFFER_BYTES - this.#length,
      this.#start + this.#length,
    )
    this.#length += count
    return count > 0
  }

  #isEscaped(at: number): boolean {
    let first = at
    while (first > this.#at && this.#buffer[first - 1] === BACKSLASH) first -= 1
    return (at - first) % 2 === 1
  }

  /** Within a string that is too long: to its end. */
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

export function damaged(how: string): Error {
  return new Error(`the snapshot cannot be redacted: ${how}`)
}
