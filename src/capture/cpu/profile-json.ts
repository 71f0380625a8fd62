import type { Profiler } from 'node:inspector'
import { toJson } from '../../base/globals'

/** Number of nodes of the call tree per piece of JSON. A piece takes 1-2 ms to build; other work can run between two pieces. */
const NODES_PER_PIECE = 1000
/** Number of samples, or of the times between them, per piece of JSON: such a piece takes 1-2 ms to build, too. */
const NUMBERS_PER_PIECE = 20_000

/**
 * Returns a CPU profile as JSON text, in pieces. One JSON.stringify of a long profile would block the event loop of the
 * thread that writes it.
 */
export function* profileJson(profile: Profiler.Profile): Generator<string> {
  const { nodes, samples = [], timeDeltas = [], ...rest } = profile
  yield toJson(rest).slice(0, -1)
  yield* member('nodes', nodes, NODES_PER_PIECE)
  yield* member('samples', samples, NUMBERS_PER_PIECE)
  yield* member('timeDeltas', timeDeltas, NUMBERS_PER_PIECE)
  yield '}'
}

/** Returns `,"name":[…]` in pieces. The comma is correct because other members of the profile come first. */
function* member(name: string, elements: readonly unknown[], perPiece: number): Generator<string> {
  yield `,${toJson(name)}:[`
  for (let at = 0; at < elements.length; at += perPiece) {
    const piece = toJson(elements.slice(at, at + perPiece)).slice(1, -1)
    yield at === 0 ? piece : `,${piece}`
  }
  yield ']'
}
