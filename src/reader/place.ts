import { fileURLToPath } from 'node:url'
import type { Place } from './model'

/** What a profile of V8 calls a frame; its lines and columns count from 0. */
export interface CallFrame {
  readonly functionName: string
  readonly url: string
  readonly lineNumber: number
  readonly columnNumber: number
}

/** Name under which frames of the application's own code are added up. */
export const APPLICATION = 'application'
export const NODE = 'Node.js'
export const V8 = 'V8 and native code'
/** Node itself runs some: its HTTP parser and undici's. */
const WEBASSEMBLY = 'WebAssembly'

export function placeOf({ functionName, url, lineNumber, columnNumber }: CallFrame): Place {
  return {
    name: functionName === '' ? '(anonymous)' : functionName,
    file: pathOf(url),
    line: lineNumber + 1,
    column: columnNumber + 1,
  }
}

/** A `file:` URL as a path; anything else as it is. */
export function pathOf(url: string): string {
  if (!url.startsWith('file://')) return url
  try {
    return fileURLToPath(url)
  } catch {
    return url
  }
}

/** `file:line`, or the file alone when the line is unknown; empty for code without a file. */
export function locationOf({ file, line }: Place): string {
  return file === '' || line <= 0 ? file : `${file}:${line}`
}

/** `name (file:line)`, or the name alone. */
export function describePlace(place: Place): string {
  const location = locationOf(place)
  return location === '' ? place.name : `${place.name} (${location})`
}

/** The owner of the code: the application, a package by its name, Node, or V8. */
export function groupOf({ file }: Place): string {
  if (file === '' || file === 'native' || file.startsWith('extensions::')) return V8
  if (file.startsWith('node:')) return NODE
  if (file.startsWith('wasm:')) return WEBASSEMBLY
  const path = file.replaceAll('\\', '/')
  const [, rest] = /.*\/node_modules\/(?!\.pnpm\/)(.*)$/.exec(path) ?? []
  if (rest === undefined) return APPLICATION
  const [first = '', second = ''] = rest.split('/')
  return first.startsWith('@') ? `${first}/${second}` : first
}

/** Whether the code is written by users of Node: the application's or a package's. */
export function isUserCode(place: Place): boolean {
  return ![NODE, V8, WEBASSEMBLY].includes(groupOf(place))
}
