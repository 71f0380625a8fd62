const residentSetSize = process.memoryUsage.rss.bind(process)

/** Resident set size of this process, bytes. `undefined` if no file descriptor is free: Node reads the size from a file. */
export function readRss(): number | undefined {
  try {
    return residentSetSize()
  } catch {
    return undefined
  }
}

/** Resident memory of this process outside of its V8 heap, bytes: the resident set size less `heapBytes`, but at least 0. */
export function readRssBeside(heapBytes: number): number {
  return Math.max(0, (readRss() ?? 0) - heapBytes)
}
