/** What is said when the process exits while a forked child of its writes a snapshot. */
export function goesOnAlone(childPid: number): string {
  return `the process exits; its forked child with pid ${childPid} writes the heap snapshot to its end`
}
