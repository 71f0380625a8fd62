const BUFFER_BYTES = 256 * 1024
/** Longest number, and what stands beside it, bytes. */
const NUMBER_BYTES = 20

/** Collects what is written, and hands it on in large chunks. */
export class Output {
  readonly #write: (chunk: Buffer) => void
  readonly #buffer = Buffer.allocUnsafe(BUFFER_BYTES)
  #length = 0
  #written = 0

  /** @param write - Takes a chunk, which is valid until it returns. */
  constructor(write: (chunk: Buffer) => void) {
    this.#write = write
  }

  /** Writes a whole number from 0 on. */
  number(value: number): void {
    if (this.#length + NUMBER_BYTES > BUFFER_BYTES) this.flush()
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
    if (this.#length === BUFFER_BYTES) this.flush()
    this.#buffer[this.#length++] = byte
  }

  text(text: string): void {
    this.bytes(Buffer.from(text))
  }

  bytes(bytes: Buffer): void {
    if (this.#length + bytes.length > BUFFER_BYTES) this.flush()
    if (bytes.length > BUFFER_BYTES) {
      this.#write(bytes)
      this.#written += bytes.length
      return
    }
    bytes.copy(this.#buffer, this.#length)
    this.#length += bytes.length
  }

  /** @returns Bytes written so far. @throws What `write` throws. */
  flush(): number {
    this.#write(this.#buffer.subarray(0, this.#length))
    this.#written += this.#length
    this.#length = 0
    return this.#written
  }
}
