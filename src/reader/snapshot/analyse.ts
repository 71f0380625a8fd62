import type { Accumulation, ClassRow, GrowthPart, Place, SnapshotPart, Verdict } from '../model'
import { describePlace, isUserCode } from '../place'
import { percent } from '../profile/call-tree'
import { NO_SOURCE_MAPS } from '../source-maps'
import { formatBytes, formatCount, formatNumber, formatPercent, growthInWords } from '../units'
import type { Pile } from './accumulation'
import { findPile, isSystemClass } from './accumulation'
import { largeArrays } from './contents/arrays'
import { keptScopes } from './contents/scopes'
import { duplicateStrings, shortString } from './contents/strings'
import { explainRetainers } from './retainers'
import type { Scripts } from './scripts'
import { readScripts } from './scripts'
import type { Heap } from './toolkit'

const ROWS = 60
/** The verdict names a class if its retained size grew by at least this share of the later snapshot's size, percent. */
const GROWTH_STANDS_OUT_PERCENT = 5
/** General classes. The verdict on growth prefers others: a container grows with the objects in it, and these explain more. */
const CONTAINERS: ReadonlySet<string> = new Set([
  ...['Array', 'Object', 'Map', 'Set', 'WeakMap', 'WeakSet', 'Function', 'global'],
])

/** Returns the part of the report on a heap snapshot: what fills the heap. */
export function analyseHeap(heap: Heap, file: string, locator = NO_SOURCE_MAPS): SnapshotPart {
  const scripts = readScripts(heap, locator)
  const classes = classesOf(heap, scripts)
  const pile = findPile(heap)
  const accumulation = pile === undefined ? undefined : accumulationOf(heap, pile, scripts, classes)
  return {
    kind: 'snapshot',
    file,
    verdict: judge(classes, accumulation, heap.totalSize),
    totalBytes: heap.totalSize,
    nativeBytes: heap.getStatistics().native.total,
    objects: heap.nodes.length / heap.nodeFieldCount,
    makeup: makeupOf(heap),
    classes: classes.slice(0, ROWS),
    ...(accumulation && { accumulation }),
    largest: largestObjects(heap),
    arrays: largeArrays(heap, scripts),
    scopes: keptScopes(heap, scripts),
    duplicateStrings: duplicateStrings(heap),
    notes: [
      'Retained size is the memory that would be freed with the objects. Classes hold each other, so the sizes of a table add up to more than the heap.',
    ],
  }
}

/** The number and the sizes of the objects of each class in a heap, by class name, to compare two snapshots. */
export function classTotals(heap: Heap): ReadonlyMap<string, ClassRow> {
  return mergeByName(classesOf(heap, { placeOf: () => undefined }))
}

/** Returns the part of the report on how each class changed from an earlier snapshot to a later one. */
export function compareHeaps(
  before: { readonly file: string; readonly classes: ReadonlyMap<string, ClassRow>; readonly bytes: number },
  after: SnapshotPart,
  allAfter: ReadonlyMap<string, ClassRow>,
): GrowthPart {
  const places = new Map(after.classes.map(({ name, place }) => [name, place]))
  const names = new Set([...before.classes.keys(), ...allAfter.keys()])
  const rows = [...names]
    .map((name) => {
      const [old, now] = [before.classes.get(name), allAfter.get(name)]
      const place = places.get(name)
      return {
        name,
        ...(place && { place }),
        countGrowth: (now?.count ?? 0) - (old?.count ?? 0),
        shallowGrowth: (now?.shallowBytes ?? 0) - (old?.shallowBytes ?? 0),
        retainedGrowth: (now?.retainedBytes ?? 0) - (old?.retainedBytes ?? 0),
        count: now?.count ?? 0,
        retainedBytes: now?.retainedBytes ?? 0,
      }
    })
    .filter(({ countGrowth, shallowGrowth }) => countGrowth !== 0 || shallowGrowth !== 0)
    .sort((one, other) => other.retainedGrowth - one.retainedGrowth)
  const grownBytes = after.totalBytes - before.bytes
  return {
    kind: 'growth',
    before: before.file,
    file: after.file,
    verdict: judgeGrowth(rows, grownBytes, after),
    grownBytes,
    classes: rows.slice(0, ROWS),
    notes: ['Classes are compared by name. Both snapshots should be of one process.'],
  }
}

function classesOf(heap: Heap, scripts: Scripts): ClassRow[] {
  return Object.values(heap.aggregatesWithFilter({}))
    .map(({ name, count, self, maxRet, idxs }): ClassRow => {
      const place = scripts.placeOf(heap.createNode(idxs[0] ?? 0), name)
      const isClosure = name === 'Function'
      return {
        name,
        ...(place && !isClosure && { place }),
        count,
        shallowBytes: self,
        retainedBytes: maxRet,
        retainedPercent: percent(maxRet, heap.totalSize),
        isSystem: isSystemClass(name),
      }
    })
    .sort((one, other) => other.retainedBytes - one.retainedBytes)
}

/** Adds up the counts and sizes of classes that have the same name but come from different files. */
function mergeByName(rows: readonly ClassRow[]): Map<string, ClassRow> {
  const merged = new Map<string, ClassRow>()
  for (const row of rows) {
    const known = merged.get(row.name)
    merged.set(
      row.name,
      known === undefined
        ? row
        : {
            ...row,
            count: row.count + known.count,
            shallowBytes: row.shallowBytes + known.shallowBytes,
            retainedBytes: row.retainedBytes + known.retainedBytes,
          },
    )
  }
  return merged
}

function accumulationOf(
  heap: Heap,
  pile: Pile,
  scripts: Scripts,
  classes: readonly ClassRow[],
): Accumulation {
  const { className, retainedBytes, sample } = pile
  const row = pile.isChain === true ? classes.find(({ name }) => name === className) : undefined
  const place = scripts.placeOf(heap.createNode(sample), className)
  return {
    className,
    ...(place && { place }),
    count: row?.count ?? pile.count,
    retainedBytes,
    percent: percent(retainedBytes, heap.totalSize),
    ...explainRetainers(heap, sample, scripts),
  }
}

function judge(classes: readonly ClassRow[], pile: Accumulation | undefined, totalBytes: number): Verdict {
  if (pile === undefined) {
    const largest =
      classes.find(({ place }) => place !== undefined && isUserCode(place)) ??
      classes.find(({ isSystem, name }) => !isSystem && !/^global( \(|$)/.test(name))
    const rest =
      largest === undefined
        ? '.'
        : `: the largest, ${nameOf(largest)}, retains ${formatPercent(largest.retainedPercent)} of the ${formatBytes(totalBytes)} in the snapshot.`
    return {
      found: false,
      sentence: `No single class stands out${rest}`,
      hint: 'Look at the classes by retained size, compare two snapshots of the process, or look at its native memory.',
    }
  }
  const { place, count, retainedBytes, heldBy } = pile
  const what = nameOf({ name: pile.className, ...(place && { place }) })
  const size = `${formatBytes(retainedBytes)}, ${formatPercent(pile.percent)} of the ${formatBytes(totalBytes)} in the snapshot`
  const held = heldBy === '' ? '' : `, held by ${heldBy}`
  return {
    found: true,
    sentence:
      count === 1
        ? `One object of class ${what} retains ${size}${held}.`
        : `${formatCount(count, 'object')} of class ${what} retain ${size}${held}.`,
    ...(place && { place }),
    sharePercent: pile.percent,
  }
}

function judgeGrowth(rows: GrowthPart['classes'], grownBytes: number, after: SnapshotPart): Verdict {
  const shareOf = ({ retainedGrowth }: { readonly retainedGrowth: number }): number =>
    percent(retainedGrowth, after.totalBytes)
  const grown = rows.filter(
    (row) => row.countGrowth > 0 && !isSystemClass(row.name) && shareOf(row) >= GROWTH_STANDS_OUT_PERCENT,
  )
  const pile = after.accumulation
  // Objects that accumulate in the later snapshot may have been there before: the verdict names their class only if it grew.
  const top =
    grown.find(({ name }) => name === pile?.className) ??
    grown.find(({ name }) => !CONTAINERS.has(name)) ??
    grown[0]
  if (top === undefined) {
    return {
      found: false,
      sentence: `No single class stands out: the snapshot ${growthInWords(grownBytes)} to ${formatBytes(after.totalBytes)}, and no class of the application has both more objects and at least ${GROWTH_STANDS_OUT_PERCENT} % of the new size more retained memory.`,
      hint: 'Take the second snapshot later, or under more load.',
    }
  }
  const what = nameOf(top)
  const held = pile?.className === top.name && pile.heldBy !== '' ? `, held by ${pile.heldBy}` : ''
  return {
    found: true,
    sentence: `${what} grew by ${formatCount(top.countGrowth, 'object')} to ${formatNumber(top.count)}, retaining ${formatBytes(top.retainedGrowth)} more${held}.`,
    ...(top.place && { place: top.place }),
    sharePercent: shareOf(top),
  }
}

function nameOf({ name, place }: { readonly name: string; readonly place?: Place }): string {
  return place === undefined ? name : describePlace({ ...place, name })
}

function makeupOf(heap: Heap): SnapshotPart['makeup'] {
  const { native, v8heap } = heap.getStatistics()
  const known = [
    { name: 'buffers and typed arrays', bytes: native.typedArrays },
    { name: 'other native memory', bytes: native.total - native.typedArrays },
    { name: 'strings', bytes: v8heap.strings },
    { name: 'arrays', bytes: v8heap.jsArrays },
    { name: 'code', bytes: v8heap.code },
    { name: 'V8 itself', bytes: v8heap.system },
  ]
  const rest = v8heap.total - v8heap.strings - v8heap.jsArrays - v8heap.code - v8heap.system
  return [...known, { name: 'other objects', bytes: rest }]
    .filter(({ bytes }) => bytes > 0)
    .sort((one, other) => other.bytes - one.bytes)
}

function largestObjects(heap: Heap): SnapshotPart['largest'] {
  const node = heap.createNode(0)
  let rows: { name: string; bytes: number }[] = []
  let least = 0
  for (let index = 0; index < heap.nodes.length; index += heap.nodeFieldCount) {
    node.nodeIndex = index
    const bytes = node.selfSize()
    if (bytes <= least) continue
    rows.push({
      name: `${node.className()} ${shortString(node.type() === 'string' ? node.name() : '')}`.trim(),
      bytes,
    })
    if (rows.length < 40) continue
    rows = rows.sort((one, other) => other.bytes - one.bytes).slice(0, 20)
    least = rows.at(-1)?.bytes ?? 0
  }
  return rows.sort((one, other) => other.bytes - one.bytes).slice(0, 20)
}
