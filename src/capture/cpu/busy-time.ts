import type { Profiler } from 'node:inspector'

/** Returns how long the thread was not idle during a CPU profile: in ms, and as a share of the profile, 0 to 1. */
export function busyTime({ nodes, samples = [], timeDeltas = [] }: Profiler.Profile): {
  ms: number
  share: number
} {
  const idle = new Set(
    nodes.filter(({ callFrame }) => callFrame.functionName === '(idle)').map(({ id }) => id),
  )
  let [busyUs, totalUs] = [0, 0]
  for (const [at, id] of samples.entries()) {
    const us = timeDeltas[at] ?? 0
    totalUs += us
    if (!idle.has(id)) busyUs += us
  }
  return { ms: busyUs / 1000, share: totalUs > 0 ? busyUs / totalUs : 0 }
}
