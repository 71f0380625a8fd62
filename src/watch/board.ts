import { Atomics } from '../base/globals'

/** Returns the names of all rules, in the order in which {@link Board} keeps their numbers. */
export function boardRules(rules: readonly { readonly name: string }[]): readonly string[] {
  return ['cpu', 'memory', ...rules.map(({ name }) => name)]
}

/** Number of 64-bit numbers that the shared memory holds for each rule. */
const FIELDS = 5
/** Position of each of a rule's numbers, which {@link BoardRow} describes. */
const [COUNT, VALUE, AT, BREACHES, LEFT] = [0, 1, 2, 3, 4] as const
/** Bytes before the rules' numbers: a 32-bit flag, and 4 bytes so that the 64-bit numbers are aligned. */
const FLAG_BYTES = 8

/** Counters and latest reading of one rule, as the main thread reads them. */
export interface BoardRow {
  /** Number of readings since the start. */
  readonly readings: number
  /** The latest reading. Absent before the first. */
  readonly latest?: { readonly value: number; readonly atEpochMs: number }
  /** Number of readings in a row above the threshold. */
  readonly breaches: number
  /** Number of dumps that the budget still allowed at the latest reading. */
  readonly left: number
}

/**
 * Counters and latest readings of all rules in shared memory. The watchdog thread writes them, and the main thread can
 * read them at any time without a message. A read during a write may mix numbers of two successive readings.
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

  /** Flag that the main thread sets: whether each reading is also to be sent to it, for the event `'reading'`. */
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
