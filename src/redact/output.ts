/** When this many bytes have been collected, the caller takes them as one chunk. */
const FULL_BYTES = 256 * 1024
/** Free space that the buffer must have before a number is written, bytes. The largest number has 16 digits. */
const NUMBER_BYTES = 20

/** Collects small writes in a buffer, from which the caller takes large chunks. */
export class Output {
  #buffer = Buffer.allocUnsafe(2 * FULL_BYTES)
  #length = 0

  /** Whether the buffer holds a full chunk, which the caller should {@link take}. */
  get isFull(): boolean {
    return this.#length >= FULL_BYTES
  }

  /**
   * Writes a whole number, at least 0, in decimal digits.
   *
   * @throws RangeError for any other value. With Infinity, the loops below would not end.
   */
  number(value: number): void {
    if (!Number.isSafeInteger(value) || value < 0)
      throw new RangeError(`${value} is not a whole number of at least 0, as all numbers of a snapshot are`)
    this.#makeRoom(NUMBER_BYTES)
    let digits = 1
    for (let limit = 10; value >= limit; limit *= 10) digits += 1
    let at = this.#length + digits
    this.#length = at
    let left = value
    do {
      const next = Math.floor(left / 10)
      this.#buffer[--at] = 0x30 + (left - next * 10)
      left = next
    } while (left > 0)
  }

  byte(byte: number): void {
    this.#makeRoom(1)
    this.#buffer[this.#length++] = byte
  }

  text(text: string): void {
    this.bytes(Buffer.from(text))
  }

  bytes(bytes: Buffer): void {
    this.#makeRoom(bytes.length)
    bytes.copy(this.#buffer, this.#length)
    this.#length += bytes.length
  }

  /** Returns the bytes written since the last call, and empties the buffer. The bytes are valid until the next write. */
  take(): Buffer {
    const taken = this.#buffer.subarray(0, this.#length)
    this.#length = 0
    return taken
  }

  /** Enlarges the buffer if `bytes` more do not fit, because one string can be longer than the free space. */
  #makeRoom(bytes: number): void {
    if (this.#length + bytes <= this.#buffer.length) return
    const larger = Buffer.allocUnsafe(2 * (this.#length + bytes))
    this.#buffer.copy(larger, 0, 0, this.#length)
    this.#buffer = larger
  }
}
