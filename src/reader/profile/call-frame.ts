import { isObject, numberOr, textOr, UnreadableError } from '../json'
import { type CallFrame, LONGEST_NAME, LONGEST_PATH } from '../place'

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
