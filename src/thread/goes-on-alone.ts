/** What is said when the process exits while a forked child of its writes a snapshot. */
export function goesOnAlone(childPid: number): string {
  const child = `its forked child with pid ${childPid}`
  // The kernel ends a container with its first process.
  return process.pid === 1
    ? `the process exits, and as it is PID 1, ${child}, which writes a heap snapshot, ends with it`
    : `the process exits; ${child} writes the heap snapshot to its end`
}
