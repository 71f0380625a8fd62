import type { Profiler } from 'node:inspector'
import { toJson } from '../../base/globals'

/** Elements per piece: a piece takes 1-2 ms to build, so other work fits between two pieces. */
const NODES_PER_PIECE = 1000
const NUMBERS_PER_PIECE = 20_000

/**
 * Writes a CPU profile as JSON in pieces. On the main thread, one JSON.stringify of a long profile would itself block
 * the event loop.
 */
export function* profileJson(profile: Profiler.Profile): Generator<string> {
  const { nodes, samples = [], timeDeltas = [], ...rest } = profile
  yield toJson(rest).slice(0, -1)
  yield* member('nodes', nodes, NODES_PER_PIECE)
  yield* member('samples', samples, NUMBERS_PER_PIECE)
  yield* member('timeDeltas', timeDeltas, NUMBERS_PER_PIECE)
  yield '}'
}

/** Writes `,"name":[…]`. The comma is always right, since a profile starts with its start and end time. */
function* member(name: string, elements: readonly unknown[], perPiece: number): Generator<string> {
  yield `,${toJson(name)}:[`
  for (let at = 0; at < elements.length; at += perPiece) {
    const piece = toJson(elements.slice(at, at + perPiece)).slice(1, -1)
    yield at === 0 ? piece : `,${piece}`
  }
  yield ']'
}
