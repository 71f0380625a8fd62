import { basename } from 'node:path'
import { named } from '../answer'
import type { Input } from '../input'
import type { Part } from '../model'
import type { Locator } from '../source-maps'
import { analyseHeap, classTotals, compareHeaps } from './analyse'
import { contentOf } from './content'
import type { Loading } from './load'
import { loadHeap } from './load'

/**
 * Longer texts in the answer are cut to this number of characters: a name in a snapshot can have any length, and can occur in
 * many rows.
 */
const LONGEST_TEXT = 5000

/** The callback for progress, and a promise that resolves when another process has checked the snapshots that are loaded here. */
export type Loads = Pick<Loading, 'onProgress' | 'checked'>

/** Analyses one snapshot, or compares two. Of the earlier one, only the totals by class stay in memory. */
export async function analyseSnapshots(
  inputs: readonly Input[],
  locator: Locator,
  loads: Loads,
): Promise<Part[]> {
  const earlier = inputs.length > 1 ? inputs[0] : undefined
  const last = inputs.at(-1)
  if (last === undefined) return []
  const before = earlier && (await totals(earlier, loads))
  const heap = await load(last, loads)
  const part = analyseHeap(heap, basename(last.path), locator)
  const parts = before === undefined ? [part] : [compareHeaps(before, part, classTotals(heap)), part]
  return parts.map(shortened)
}

/** Copies a value, and cuts each text in it to {@link LONGEST_TEXT}. */
function shortened<T>(value: T): T {
  if (typeof value === 'string')
    return (value.length > LONGEST_TEXT ? `${value.slice(0, LONGEST_TEXT)}…` : value) as T
  if (Array.isArray(value)) return value.map(shortened) as T
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, shortened<unknown>(item)])) as T
}

async function totals(input: Input, loads: Loads): Promise<Parameters<typeof compareHeaps>[0]> {
  const heap = await load(input, loads)
  return { file: basename(input.path), classes: classTotals(heap), bytes: heap.totalSize }
}

async function load(input: Input, { onProgress, ...loads }: Loads): ReturnType<typeof loadHeap> {
  const file = basename(input.path)
  try {
    return await loadHeap({
      ...contentOf(input),
      onProgress: (text) => onProgress(`${file}: ${text}`),
      ...loads,
    })
  } catch (error) {
    throw named(input.path, error)
  }
}
