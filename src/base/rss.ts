const residentSetSize = process.memoryUsage.rss.bind(process)

/** Resident set size of the process, bytes; `undefined` without a free descriptor, for Node opens a file to read it. */
export function readRss(): number | undefined {
  try {
    return residentSetSize()
  } catch {
    return undefined
  }
}

/** Memory of the process beside a heap of that size, bytes. */
export function readRssBeside(heapBytes: number): number {
  return Math.max(0, (readRss() ?? 0) - heapBytes)
}
