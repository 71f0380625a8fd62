import { isObject, numberOr, textOr, UnreadableError } from '../json'
import { type CallFrame, LONGEST_PATH } from '../place'

/** Longer function names are cut to this number of characters, because a hostile file must not fill the report. */
const LONGEST_NAME = 500

/** Reads the `callFrame` (function, URL, line, column) of a node of a V8 profile. */
export function readCallFrame(value: unknown): CallFrame {
  if (!isObject(value)) throw new UnreadableError('is not a profile: a node has no callFrame')
  return {
    functionName: textOr(value['functionName'], '').slice(0, LONGEST_NAME),
    url: textOr(value['url'], '').slice(0, LONGEST_PATH),
    lineNumber: numberOr(value['lineNumber'], -1),
    columnNumber: numberOr(value['columnNumber'], -1),
  }
}
