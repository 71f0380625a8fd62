import { Atomics } from '../base/globals'

/** Names of the rules, in the order of their rows. */
export function boardRules(rules: readonly { readonly name: string }[]): readonly string[] {
  return ['cpu', 'memory', ...rules.map(({ name }) => name)]
}

/** Numbers kept of each rule. */
const FIELDS = 5
const [COUNT, VALUE, AT, BREACHES, LEFT] = [0, 1, 2, 3, 4] as const
/** Bytes of the flag: one 32-bit word, and one more to align the numbers that follow. */
const FLAG_BYTES = 8

/** Counters and latest reading of one rule. */
export interface BoardRow {
  /** Number of readings since the start. */
  readonly readings: number
  /** The latest one. Absent before the first. */
  readonly latest?: { readonly value: number; readonly atEpochMs: number }
  /** Readings above the threshold in a row. */
  readonly breaches: number
  /** Number of dumps that the budget still allowed at the latest reading. */
  readonly left: number
}

/**
 * The watch's counters in shared memory: the main thread can read them at any time, and readings cost no message. Each
 * number is consistent; numbers of two successive readings may be mixed.
 */
export class Board {
  readonly #rules: readonly string[]
  readonly #flag: Int32Array
  readonly #numbers: Float64Array

  /** @param rules - Names of the rules; all users of the memory must pass the same ones in the same order. */
  constructor(shared: SharedArrayBuffer, rules: readonly string[]) {
    this.#rules = rules
    this.#flag = new Int32Array(shared, 0, 1)
    this.#numbers = new Float64Array(shared, FLAG_BYTES, rules.length * FIELDS)
  }

  static create(rules: readonly string[]): SharedArrayBuffer {
    return new SharedArrayBuffer(FLAG_BYTES + rules.length * FIELDS * Float64Array.BYTES_PER_ELEMENT)
  }

  /** Whether each reading is also to be reported as an event. */
  get isWanted(): boolean {
    return Atomics.load(this.#flag, 0) === 1
  }

  set isWanted(isWanted: boolean) {
    Atomics.store(this.#flag, 0, isWanted ? 1 : 0)
  }

  write(rule: string, value: number, atEpochMs: number, breaches: number, left: number): void {
    const at = this.#rules.indexOf(rule) * FIELDS
    if (at < 0) return
    const numbers = this.#numbers
    numbers[at + COUNT] = (numbers[at + COUNT] ?? 0) + 1
    numbers[at + VALUE] = value
    numbers[at + AT] = atEpochMs
    numbers[at + BREACHES] = breaches
    numbers[at + LEFT] = left
  }

  read(rule: string): BoardRow {
    const at = this.#rules.indexOf(rule) * FIELDS
    const number = (field: number): number => this.#numbers[at + field] ?? 0
    const readings = number(COUNT)
    return {
      readings,
      ...(readings > 0 && { latest: { value: number(VALUE), atEpochMs: number(AT) } }),
      breaches: number(BREACHES),
      left: number(LEFT),
    }
  }
}
