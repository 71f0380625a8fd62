const residentSetSize = process.memoryUsage.rss.bind(process)

/** Resident set size of this process, bytes. `undefined` without a free file descriptor: Node opens a file to read it. */
export function readRss(): number | undefined {
  try {
    return residentSetSize()
  } catch {
    return undefined
  }
}

/** Resident memory of this process outside a V8 heap of `heapBytes`, bytes; never negative. */
export function readRssBeside(heapBytes: number): number {
  return Math.max(0, (readRss() ?? 0) - heapBytes)
}
