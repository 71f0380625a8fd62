import { Atomics } from '../base/globals'

/** Names of the rules, in the order of their rows. */
export function boardRules(rules: readonly { readonly name: string }[]): readonly string[] {
  return ['cpu', 'memory', ...rules.map(({ name }) => name)]
}

/** Numbers of one rule. */
const FIELDS = 5
const [COUNT, VALUE, AT, BREACHES, LEFT] = [0, 1, 2, 3, 4] as const
/** One word, and its like for the alignment of what follows. */
const FLAG_BYTES = 8

/** What a rule has read so far. */
export interface BoardRow {
  /** Readings since the start. */
  readonly readings: number
  /** The latest one. Absent before the first. */
  readonly latest?: { readonly value: number; readonly atEpochMs: number }
  /** Readings above the threshold in a row. */
  readonly breaches: number
  /** Dumps that the budget still allowed with the latest reading. */
  readonly left: number
}

/**
 * What the watch has read, in shared memory: the main thread can look at any time, and readings cost no message. Each number is whole;
 * numbers of two neighbouring readings may stand beside each other.
 */
export class Board {
  readonly #rules: readonly string[]
  readonly #flag: Int32Array
  readonly #numbers: Float64Array

  /** @param rules - Names, the same ones and in the same order for all users of the memory. */
  constructor(shared: SharedArrayBuffer, rules: readonly string[]) {
    this.#rules = rules
    this.#flag = new Int32Array(shared, 0, 1)
    this.#numbers = new Float64Array(shared, FLAG_BYTES, rules.length * FIELDS)
  }

  static create(rules: readonly string[]): SharedArrayBuffer {
    return new SharedArrayBuffer(FLAG_BYTES + rules.length * FIELDS * Float64Array.BYTES_PER_ELEMENT)
  }

  /** Whether each reading is to be reported as well. */
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
