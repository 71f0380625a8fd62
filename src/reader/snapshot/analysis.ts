import { basename } from 'node:path'
import { named } from '../answer'
import type { Input } from '../input'
import { streamOf } from '../input'
import type { Part } from '../model'
import type { Locator } from '../source-maps'
import { analyseHeap, classTotals, compareHeaps } from './analyse'
import { loadHeap } from './load'

/** One snapshot is analysed; of two, the earlier one is only remembered by its classes. */
export async function analyseSnapshots(
  inputs: readonly Input[],
  locator: Locator,
  onProgress: (text: string) => void,
): Promise<Part[]> {
  const earlier = inputs.length > 1 ? inputs[0] : undefined
  const last = inputs.at(-1)
  if (last === undefined) return []
  const before = earlier && (await totals(earlier, onProgress))
  const heap = await load(last, onProgress)
  const part = analyseHeap(heap, basename(last.path), locator)
  return before === undefined ? [part] : [compareHeaps(before, part, classTotals(heap)), part]
}

async function totals(
  input: Input,
  onProgress: (text: string) => void,
): Promise<Parameters<typeof compareHeaps>[0]> {
  const heap = await load(input, onProgress)
  return { file: basename(input.path), classes: classTotals(heap), bytes: heap.totalSize }
}

async function load(input: Input, onProgress: (text: string) => void): ReturnType<typeof loadHeap> {
  const file = basename(input.path)
  try {
    return await loadHeap({
      open: () => streamOf(input),
      sizeBytes: input.sizeBytes,
      onProgress: (text) => onProgress(`${file}: ${text}`),
    })
  } catch (error) {
    throw named(input.path, error)
  }
}
