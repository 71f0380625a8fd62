import { fileURLToPath } from 'node:url'
import type { Place } from './model'

/** A stack frame as V8's profiles describe it. Lines and columns count from 0. */
export interface CallFrame {
  readonly functionName: string
  readonly url: string
  readonly lineNumber: number
  readonly columnNumber: number
}

/** Names of the groups of functions in the report. A group has all functions whose code belongs to the same owner. */
export const APPLICATION = 'application'
export const NODE = 'Node.js'
export const V8 = 'V8 and native code'
/** WebAssembly does not count as application code, because Node.js itself contains some: its HTTP parser and undici's. */
const WEBASSEMBLY = 'WebAssembly'
const NODE_MODULES = 'node_modules'

export function placeOf({ functionName, url, lineNumber, columnNumber }: CallFrame): Place {
  return {
    name: functionName === '' ? '(anonymous)' : functionName,
    file: pathOf(url),
    line: lineNumber + 1,
    column: columnNumber + 1,
  }
}

/** Longer function names are cut to this number of characters, because a hostile file must not fill the report. */
export const LONGEST_NAME = 500
/** Longer paths and URLs are cut to this number of characters, for the same reason. */
export const LONGEST_PATH = 2000

/** Converts a `file:` URL to a path, and returns anything else unchanged, but cut to {@link LONGEST_PATH}. */
export function pathOf(url: string): string {
  const short = url.slice(0, LONGEST_PATH)
  if (!short.startsWith('file://')) return short
  try {
    return fileURLToPath(short)
  } catch {
    return short
  }
}

/** `file:line`, or the file alone when the line is unknown; empty for code without a file. */
export function locationOf({ file, line }: Place): string {
  return file === '' || line <= 0 ? file : `${file}:${line}`
}

/** `name (file:line)`, or the name alone for code without a file. */
export function describePlace(place: Place): string {
  const location = locationOf(place)
  return location === '' ? place.name : `${place.name} (${location})`
}

/** The group of a function, by the owner of its code: the application, a package (by its name), Node.js, V8, or WebAssembly. */
export function groupOf({ file }: Place): string {
  if (file === '' || file === 'native' || file.startsWith('extensions::')) return V8
  if (file.startsWith('node:')) return NODE
  if (file.startsWith('wasm:')) return WEBASSEMBLY
  // No regular expression: one that finds the last `node_modules` takes time in proportion to the square of the path's length.
  const names = file.replaceAll('\\', '/').split('/')
  const at = names.findLastIndex(
    (name, index) => index > 1 && names[index - 1] === NODE_MODULES && name !== '.pnpm',
  )
  if (at < 0) return APPLICATION
  const [first = '', second = ''] = names.slice(at)
  return first.startsWith('@') ? `${first}/${second}` : first
}

/** Whether the code belongs to the application or to a package, not to Node.js or V8. WebAssembly does not count either. */
export function isUserCode(place: Place): boolean {
  return ![NODE, V8, WEBASSEMBLY].includes(groupOf(place))
}
