import { type Dirent, readdirSync, statSync } from 'node:fs'
import { basename, dirname, isAbsolute, join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import {
  decodedMappings,
  type EncodedSourceMap,
  type SourceMapSegment,
  TraceMap,
} from '@jridgewell/trace-mapping'
import { type Mount, Mounts, readMountinfo } from '../system/mounts'
import { parseWithin, readRegular } from './input'
import { isObject, UnreadableError } from './json'
import type { Place } from './model'
import { LONGEST_NAME, LONGEST_PATH, pathOf } from './place'
import { formatBytes, formatCount } from './units'

/** Maps places in compiled code to the sources that it was compiled from. */
export interface Locator {
  /** Looks for source maps of the files of these places, and refuses a map that does not fit the places. Call before `locate`. */
  learn(places: Iterable<Place>): void
  locate(place: Place): Place
  /**
   * One sentence for each source map that was refused (which and why), and one each if files were not read to limit the bytes or
   * the time.
   */
  notes(): readonly string[]
}

/** A locator that uses no source maps: it returns every place as it is. */
export const NO_SOURCE_MAPS: Locator = { learn: () => undefined, locate: (place) => place, notes: () => [] }

/** Maximum size of a source map, code file or source file, bytes. Larger files are not read. */
const MAX_BYTES = 64 * 1024 * 1024
/**
 * Maximum number of bytes of all code, source maps and sources that are read for one report: a profile of a few KB can name a
 * thousand large files.
 */
const MOST_BYTES = 256 * 1024 * 1024
/**
 * Maximum number of characters of all source paths and names in the source maps of a report: trace-mapping keeps all these texts in
 * memory. The paths in the map of one of the largest applications have a million.
 */
const MOST_CHARACTERS = 16 * 1024 * 1024
/**
 * Maximum number of places and lines in all source maps of a report. Each takes 50 to 280 bytes of memory: 64 MiB of `;` would be
 * 64 million lines. The map of one of the largest applications has two million places and lines.
 */
const MOST_MAPPINGS = 4_000_000
const MOST_REFUSALS = 100
/** Maximum number of directory entries that are searched for maps below the directory of `--source-maps`. */
const MAX_ENTRIES = 20_000
const WITH_TYPES = { withFileTypes: true } as const
/**
 * Minimum length of a function name to judge a map by, characters. Shorter names often come from a minifier and identify
 * nothing.
 */
const SHORTEST_NAME = 3
/** Maximum length of such a name, characters. The time of a search for a name can be in proportion to its length. */
const LONGEST_JUDGED_NAME = 100
/** Maximum number of functions by which one map is judged. More of them make the verdict no surer. */
const MOST_JUDGED = 10_000
/** A function's name is looked for this far before and after its place in the source, characters: one line can have millions. */
const NEAR = 1000
/** Maximum time in which source maps are looked for and judged, ms. Then the functions of the other files stay where they are. */
const LEARN_MS = 30_000

interface Candidate {
  /** The file that contains the map. Source paths in the map are relative to it. */
  readonly path: string
  readonly read: () => Buffer
}

/** What one report may still take: bytes of code, source maps and sources, and characters and mappings of source maps. */
class Allowance {
  #characters = MOST_CHARACTERS
  #mappings = MOST_MAPPINGS
  #bytes = MOST_BYTES
  readonly #mounts: Mounts | undefined
  /** Whether a code or source file was not read only because {@link MOST_BYTES} would have been exceeded. */
  isSpent = false
  /** File systems in which no file was looked for, because they may ask another machine, by mount point. */
  readonly unasked = new Map<string, Mount>()

  constructor(mounts: Mounts | undefined) {
    this.#mounts = mounts
  }

  /**
   * Finds a file whose path the content of another file names. Such a path can be any: it must not have another machine asked.
   *
   * @returns The path to read, if a regular file of at most {@link MAX_BYTES} is there.
   */
  find(path: string): string | undefined {
    try {
      if (isRemote(path)) return undefined
      const found = this.#mounts?.follow(path) ?? path
      if (typeof found === 'string') return isSmallFile(found) ? found : undefined
      this.unasked.set(found.path, found)
    } catch {
      // The path leads to no file, or cannot be followed.
    }
    return undefined
  }

  /**
   * Reads a file, and takes its size from the bytes that are left.
   *
   * @throws UnreadableError for a file that is empty, too large, or no regular file; else the file system's error.
   */
  read(path: string): Buffer {
    const content = readRegular(path, Math.min(MAX_BYTES, this.#bytes))
    this.#bytes -= content.length
    return content
  }

  /**
   * Takes the characters and mappings of a source map from those that are left. If too few are left, takes nothing, and returns
   * what is too much, in words such as `its mappings`; other maps can still be used.
   */
  whyTooMuch(map: EncodedSourceMap, url: string): string | undefined {
    const characters = charactersOf(map, url)
    if (characters > this.#characters) return 'its source paths'
    const names = map.names.reduce((sum, { length }) => sum + length, 0)
    if (characters + names > this.#characters) return 'its names'
    const mappings = mappingsOf(map, this.#mappings)
    if (mappings > this.#mappings) return 'its mappings'
    this.#characters -= characters + names
    this.#mappings -= mappings
    return undefined
  }

  /** Reads a code file or a source, whose path a profile or a source map names. `undefined` if it cannot or must not be read. */
  readText(path: string): string | undefined {
    const found = this.find(path)
    try {
      return found && this.read(found).toString('utf8')
    } catch {
      this.isSpent ||= found !== undefined && !isSmallFile(found, this.#bytes)
      return undefined
    }
  }
}

/**
 * Creates a locator. For each code file, it looks for the source map that the code names, for `<file>.map` beside the code, and
 * for a file of that name anywhere in `directory`.
 *
 * @param mountinfo - Text of `/proc/self/mountinfo`: the mounted file systems, some of which are not searched.
 * @param learnMs - Maximum time in which it looks for source maps and judges them, ms.
 */
export function createLocator(
  directory: string | undefined,
  mountinfo = readMountinfo(),
  learnMs = LEARN_MS,
): Locator {
  const maps = new Map<string, UsedMap | undefined>()
  const refusals: string[] = []
  const chosen = directory === undefined ? ['.'] : ['.', directory]
  const allowance = new Allowance(mountinfo === undefined ? undefined : new Mounts(mountinfo, chosen))
  let inDirectory: ReadonlyMap<string, readonly string[]> | undefined
  let leftMs = learnMs
  let isLate = false
  const refuse = (why: string): void => void (refusals.length < MOST_REFUSALS && refusals.push(why))
  return {
    learn: (places) => {
      const startMs = performance.now()
      const isOver = (): boolean => (isLate ||= performance.now() - startMs >= leftMs)
      for (const [file, ofFile] of byFile(places)) {
        if (maps.has(file)) continue
        inDirectory ??= directory === undefined ? new Map() : mapsBelow(directory)
        if (isOver()) break
        const candidates = candidatesFor(file, inDirectory, allowance)
        maps.set(file, chooseMap(file, ofFile, candidates, allowance, refuse, isOver))
      }
      leftMs -= performance.now() - startMs
    },
    locate: (place) => {
      const map = maps.get(place.file)
      return (map && translate(map, place)) ?? place
    },
    notes: () => [
      ...refusals,
      ...[...allowance.unasked.values()].slice(0, MOST_REFUSALS).map(unaskedNote),
      ...(isLate
        ? [
            `Some source maps were not read: a report looks for them for at most ${formatCount(learnMs / 1000, 'second')}.`,
          ]
        : []),
      ...(allowance.isSpent
        ? [
            `Some source maps or sources were not read: a report reads code, source maps and sources of at most ${formatBytes(MOST_BYTES)} in total.`,
          ]
        : []),
    ],
  }
}

function unaskedNote({ path, type }: Mount): string {
  const why = `because its file system (${type}) may ask another machine`
  return `No code, source map or source was looked for below ${path}, ${why}.`
}

function byFile(places: Iterable<Place>): Map<string, Place[]> {
  const files = new Map<string, Place[]>()
  for (const place of places) {
    if (!isAbsolute(place.file) || isRemote(place.file) || place.line <= 0) continue
    const known = files.get(place.file)
    if (known === undefined) files.set(place.file, [place])
    else known.push(place)
  }
  return files
}

/**
 * Whether a path may be on a Windows share: it begins with two slashes. Windows logs in to the machine of a share to read it, and a
 * stranger's profile may name any machine.
 */
function isRemote(path: string): boolean {
  return /^[\\/]{2}/.test(path)
}

function chooseMap(
  file: string,
  places: readonly Place[],
  candidates: readonly Candidate[],
  allowance: Allowance,
  refuse: (why: string) => void,
  isOver: () => boolean,
): UsedMap | undefined {
  for (const { path, read } of candidates) {
    if (isOver()) return undefined
    try {
      const value = parseWithin(read(), MAX_BYTES)
      const [content, url] = [plainMap(value), pathToFileURL(path).href]
      const tooMuch = allowance.whyTooMuch(content, url)
      if (tooMuch !== undefined) {
        refuse(`The source map ${path} is refused: ${tooMuch} would take too much memory.`)
        continue
      }
      const map = new UsedMap(new TraceMap(content, url))
      const refusal = judgeMap(map, places, contentsIn(value), allowance)
      if (refusal === undefined) return map
      refuse(`The source map ${path} does not belong to ${file}: ${refusal}.`)
    } catch {
      // Without the error's text: it may quote the file, and a stranger's profile may name any file.
      refuse(
        `The source map ${path} is not used: it cannot be read, is too large, is no source map, or has sections.`,
      )
    }
  }
  return undefined
}

/**
 * Copies the properties that the source map format defines, if they have the right type, and no others. The library takes an
 * object with the property `_decodedMemo` for a map that it has decoded itself, and loops for ever on a forged one.
 *
 * @throws UnreadableError if the value is no source map, or one with sections, which the library does not read.
 */
function plainMap(value: unknown): EncodedSourceMap {
  if (!isObject(value) || typeof value['mappings'] !== 'string' || !Array.isArray(value['sources']))
    throw new UnreadableError('is no source map, or one with sections')
  const { mappings, sourceRoot } = value
  return {
    version: 3,
    mappings,
    sources: textsIn(value['sources']),
    // A name that is no text becomes an empty one and is kept, because the mappings refer to names by their position.
    names: textsIn(value['names']).map((name) => (name ?? '').slice(0, LONGEST_NAME)),
    ...(typeof sourceRoot === 'string' && { sourceRoot }),
  }
}

/** The contents of the sources in a map. The map that is used does not keep them, because only its judgement needs them. */
function contentsIn(map: unknown): readonly (string | null)[] {
  return isObject(map) ? textsIn(map['sourcesContent']) : []
}

/** The items of a list, with `null` in place of each item that is no text; an empty list if the value is no list. */
function textsIn(value: unknown): (string | null)[] {
  if (!Array.isArray(value)) return []
  return (value as unknown[]).map((text) => (typeof text === 'string' ? text : null))
}

/** Characters of all source paths of a map, each with the root in front: half a MB of JSON can expand to a GB. */
function charactersOf({ sources, sourceRoot = '' }: EncodedSourceMap, url: string): number {
  const root = url.length + sourceRoot.length
  return sources.reduce((sum, source) => sum + root + (source ?? '').length, 0)
}

const COMMA = 0x2c
const SEMICOLON = 0x3b

/**
 * The number of places and lines of a map, which commas and semicolons separate; counted only until there are more than `most`.
 */
function mappingsOf({ mappings }: EncodedSourceMap, most: number): number {
  let count = 1
  for (let at = 0; at < mappings.length && count <= most; at += 1) {
    const character = mappings.charCodeAt(at)
    if (character === COMMA || character === SEMICOLON) count += 1
  }
  return count
}

/**
 * Returns why a source map cannot belong to the code that contains these places; `undefined` if it can. Functions that the map
 * does not contain, such as a compiler's helpers, are ignored, unless it contains none.
 *
 * @param contents - The contents of the sources, as far as the map has them.
 */
function judgeMap(
  map: UsedMap,
  places: readonly Place[],
  contents: readonly (string | null)[],
  allowance: Allowance,
): string | undefined {
  const seen = new Set<string>()
  const bySource = new Map<number, Judged[]>()
  let mapped = 0
  for (const place of places) {
    const position = `${place.line}:${place.column}`
    if (seen.has(position)) continue
    seen.add(position)
    const found = map.find(place)
    if (found === undefined) continue
    const known = bySource.get(found.source)
    if (known === undefined) bySource.set(found.source, [{ name: place.name, found }])
    else known.push({ name: place.name, found })
    mapped += 1
    if (mapped === MOST_JUDGED) break
  }
  if (mapped === 0) return `it maps none of ${seen.size} functions`
  let [fitting, other] = [0, 0]
  for (const [source, ofSource] of bySource) {
    const path = map.pathOf(source)
    const text = contents[source] ?? allowance.readText(path)
    if (text === undefined) continue
    const counts = compare(text, ofSource)
    if ('line' in counts)
      return `it leads to line ${counts.line}, column ${counts.column + 1} of ${path}, which is not there`
    fitting += counts.fitting
    other += counts.other
  }
  return other > fitting ? `${other} of ${other + fitting} functions are not where it says` : undefined
}

/** The name of a function in the code, and its place in a source. */
interface Judged {
  readonly name: string
  readonly found: OriginalPlace
}

/**
 * Counts how many functions have their name near their place in a source, and how many do not. Functions with very short, very
 * long or computed names are not counted. If a function's place is not in the source, returns this place instead of the counts.
 * Goes through the text once, and looks at a bounded part of it for each function.
 */
function compare(
  text: string,
  functions: readonly Judged[],
): { readonly fitting: number; readonly other: number } | OriginalPlace {
  let [fitting, other] = [0, 0]
  let [line, before, start, end] = [1, 0, 0, endOfLine(text, 0)]
  for (const { name: whole, found } of functions.toSorted((a, b) => a.found.line - b.found.line)) {
    for (; line < found.line && end < text.length; line += 1) {
      before = start
      start = end + 1
      end = endOfLine(text, start)
    }
    if (line !== found.line || found.column > end - start) return found
    const name = whole.slice(0, LONGEST_NAME).split('.').at(-1) ?? ''
    if (name.length < SHORTEST_NAME || name.length > LONGEST_JUDGED_NAME || !/^[\w$]+$/.test(name)) continue
    // The name may be on the line before, as the name of a property or variable to which the function is assigned.
    const at = start + found.column
    const near = text.slice(Math.max(before, at - NEAR), Math.min(end, at + NEAR))
    if (near.includes(name) || found.name === name) fitting += 1
    else other += 1
  }
  return { fitting, other }
}

function endOfLine(text: string, start: number): number {
  const end = text.indexOf('\n', start)
  return end < 0 ? text.length : end
}

/** A place in a source. `source` is the position of the source in the map; `line` counts from 1, `column` from 0. */
interface OriginalPlace {
  readonly source: number
  readonly line: number
  readonly column: number
  readonly name: string | undefined
}

/** A source map that is decoded, with the paths of its sources. */
class UsedMap {
  readonly #sources: TraceMap['resolvedSources']
  readonly #names: readonly string[]
  readonly #lines: readonly (readonly SourceMapSegment[])[]
  readonly #paths: string[] = []

  constructor(map: TraceMap) {
    this.#sources = map.resolvedSources
    this.#names = map.names
    this.#lines = decodedMappings(map)
  }

  /** The path of a source: one text for all places in it, because a million places can be in a source with a long path. */
  pathOf(source: number): string {
    return (this.#paths[source] ??= pathOf(this.#sources[source] ?? ''))
  }

  /** The place in a source to which the map leads; `undefined` if it has none, or a malformed one: the library checks none. */
  find({ line, column }: Place): OriginalPlace | undefined {
    const [, source = -1, lineBefore = -1, sourceColumn = -1, name = -1] =
      segmentAt(this.#lines[line - 1] ?? [], Math.max(0, column - 1)) ?? []
    if (typeof this.#sources[source] !== 'string') return undefined
    return {
      source,
      line: lineBefore + 1,
      column: sourceColumn,
      name: this.#names[name] === '' ? undefined : this.#names[name],
    }
  }
}

/**
 * The last segment of a line that begins at or before a column; the first of several that begin at the column. The library's own
 * search goes back over these one by one, and a hostile map has millions of them.
 */
function segmentAt(segments: readonly SourceMapSegment[], column: number): SourceMapSegment | undefined {
  let [low, high] = [0, segments.length]
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((segments[middle]?.[0] ?? 0) < column) low = middle + 1
    else high = middle
  }
  return segments[low]?.[0] === column ? segments[low] : segments[low - 1]
}

function translate(map: UsedMap, place: Place): Place | undefined {
  const found = map.find(place)
  if (found === undefined) return undefined
  return {
    name: place.name.length < SHORTEST_NAME ? (found.name ?? place.name) : place.name,
    file: map.pathOf(found.source),
    line: found.line,
    column: found.column + 1,
  }
}

function candidatesFor(
  file: string,
  inDirectory: ReadonlyMap<string, readonly string[]>,
  allowance: Allowance,
): Candidate[] {
  const named = mapNamedIn(file, allowance)
  const beside = candidateAt(`${file}.map`, allowance)
  const ofName = nearestFirst(file, inDirectory.get(`${basename(file)}.map`) ?? [])
  const paths = ofName.map((path): Candidate => ({ path, read: () => allowance.read(path) }))
  const others = [...(beside === undefined ? [] : [beside]), ...paths]
  return [...(named === undefined ? [] : [named]), ...others.filter(({ path }) => path !== named?.path)]
}

/** The source map, inline or a file, that `sourceMappingURL` at the end of the code names. `undefined` if none can be read. */
function mapNamedIn(file: string, allowance: Allowance): Candidate | undefined {
  const code = allowance.readText(file)
  if (code === undefined) return undefined
  const at = code.lastIndexOf('//# sourceMappingURL=')
  if (at < 0) return undefined
  const url = code.slice(at).split(/\s/, 2)[1]?.replace('sourceMappingURL=', '') ?? ''
  const inline = /^data:application\/json;(?:charset=[\w-]+;)?base64,/.exec(url)
  if (inline !== null) {
    return { path: file, read: () => Buffer.from(url.slice(inline[0].length), 'base64') }
  }
  if (url.length > LONGEST_PATH || /^[a-z][a-z\d+.-]+:/i.test(url)) return undefined
  const path = resolve(dirname(file), url)
  return candidateAt(path, allowance)
}

/** The source map at a path that the content of a file names; `undefined` if there is none. */
function candidateAt(path: string, allowance: Allowance): Candidate | undefined {
  const found = allowance.find(path)
  return found === undefined ? undefined : { path, read: () => allowance.read(found) }
}

/** Sorts the paths of maps: those in directories that are the most similar to the file's first. */
function nearestFirst(file: string, paths: readonly string[]): string[] {
  const folders = dirname(file).split('/')
  const similarity = (path: string): number => {
    const others = dirname(path).split('/')
    let count = 0
    while (count < folders.length && folders.at(-1 - count) === others.at(-1 - count)) count += 1
    return count
  }
  return paths
    .map((path) => ({ path, similar: similarity(path) }))
    .sort((one, other) => other.similar - one.similar)
    .map(({ path }) => path)
}

/** The paths of the maps below a directory, by their name. */
function mapsBelow(directory: string): ReadonlyMap<string, readonly string[]> {
  const found = new Map<string, string[]>()
  const todo = [directory]
  let seen = 0
  for (let next = todo.pop(); next !== undefined && seen < MAX_ENTRIES; next = todo.pop()) {
    for (const entry of next === directory ? readdirSync(next, WITH_TYPES) : entriesOf(next)) {
      seen += 1
      const path = join(next, entry.name)
      if (entry.isDirectory()) todo.push(path)
      else if (entry.isFile() && entry.name.endsWith('.map') && isSmallFile(path)) {
        const known = found.get(entry.name)
        if (known === undefined) found.set(entry.name, [path])
        else known.push(path)
      }
    }
  }
  return found
}

/** The entries of a directory below the one of `--source-maps`; none if it cannot be read. */
function entriesOf(directory: string): Dirent[] {
  try {
    return readdirSync(directory, WITH_TYPES)
  } catch {
    return []
  }
}

/** Whether a path leads to a regular file of at most `maxBytes`. `false` on any error, because a profile can name any path. */
function isSmallFile(path: string, maxBytes = MAX_BYTES): boolean {
  try {
    const stats = statSync(path)
    return stats.isFile() && stats.size <= maxBytes
  } catch {
    return false
  }
}
