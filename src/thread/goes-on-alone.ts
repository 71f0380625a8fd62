/** Returns the log line for a process that exits while its forked child writes a heap snapshot. */
export function goesOnAlone(childPid: number): string {
  const child = `its forked child with pid ${childPid}`
  // When the first process of a container exits, the kernel kills all others in it.
  return process.pid === 1
    ? `the process exits; because it is PID 1, this also ends ${child}, and the heap snapshot stays incomplete`
    : `the process exits; ${child} completes the heap snapshot, unless a container or service ends with this process`
}
