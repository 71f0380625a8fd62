import type { Holdings } from '../../../../src/leak/confirmation'
import { MB, type Part } from './heap'
import type { Random } from './random'

/** Bytes between two samples, as this library sets it. */
const SAMPLE_BYTES = 512 * 1024

/**
 * What the sampling heap profiler would show of a program: a site for each of its parts, and one for what noise and requests in
 * flight add. Samples of a part die at the rate at which the part is turned over, new ones make up for the rest.
 */
export class SampledHeap {
  readonly #parts: readonly Part[]
  readonly #random: Random
  readonly #alive: number[][] = []
  #lastHour = 0
  #lastOrdinal = 0

  constructor(parts: readonly Part[], random: Random) {
    this.#parts = parts
    this.#random = random
  }

  read(hour: number, usedBytes: number): Holdings {
    const passedHours = hour - this.#lastHour
    this.#lastHour = hour
    const liveBytes = this.#parts.map(({ liveMb }) => liveMb(hour) * MB)
    const restBytes = Math.max(0, usedBytes - liveBytes.reduce((sum, bytes) => sum + bytes, 0))
    const turnovers = [...this.#parts.map(({ turnoverHours }) => turnoverHours), 0.1]
    const sites = [...liveBytes, restBytes].map((bytes, at) => {
      this.#alive[at] = this.#renew(this.#alive[at] ?? [], bytes, passedHours / (turnovers[at] ?? Infinity))
      const samples = this.#alive[at].map((ordinal) => [ordinal, SAMPLE_BYTES] as const)
      return [at, { functionName: `part ${at}`, url: '', line: 0, samples }] as const
    })
    return { run: 1, byPath: new Map(sites) }
  }

  #renew(alive: readonly number[], bytes: number, turnovers: number): number[] {
    const target = Math.round(bytes / SAMPLE_BYTES)
    const survivors = alive.filter(() => this.#random.next() < Math.exp(-turnovers))
    const kept = survivors.slice(Math.max(0, survivors.length - target))
    while (kept.length < target) kept.push(++this.#lastOrdinal)
    return kept
  }
}
