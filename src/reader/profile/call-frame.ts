import { isObject, numberOr, textOr, UnreadableError } from '../json'
import type { CallFrame } from '../place'

/** Longer names are cut: a hostile file must not fill the report. */
const LONGEST_NAME = 500

/** Reads the `callFrame` of a profile's node. */
export function readCallFrame(value: unknown): CallFrame {
  if (!isObject(value)) throw new UnreadableError('is not a profile: a node has no callFrame')
  return {
    functionName: textOr(value['functionName'], '').slice(0, LONGEST_NAME),
    url: textOr(value['url'], '').slice(0, 4 * LONGEST_NAME),
    lineNumber: numberOr(value['lineNumber'], -1),
    columnNumber: numberOr(value['columnNumber'], -1),
  }
}
