import { basename } from 'node:path'
import { named } from '../answer'
import type { Input } from '../input'
import type { Part } from '../model'
import type { Locator } from '../source-maps'
import { analyseHeap, classTotals, compareHeaps } from './analyse'
import { contentOf } from './content'
import type { Loading } from './load'
import { loadHeap } from './load'

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
  return before === undefined ? [part] : [compareHeaps(before, part, classTotals(heap)), part]
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
