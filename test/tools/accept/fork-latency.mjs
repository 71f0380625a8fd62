// Worst latency of a request loop during a dump: forked, at most 1/20 of the in-place twin's in the same run; medians.
// CMM_HEAP_MB (200), CMM_ROUNDS (5).
import assert from 'node:assert/strict'
import { median, parameter, withForking, worstLatency } from './programs/forking.mjs'

const heapMb = parameter('CMM_HEAP_MB', 200)
const rounds = parameter('CMM_ROUNDS', 5)
const worst = { fork: [], v8: [] }
for (let round = 0; round < rounds; round++) {
  await withForking({ heapMb }, async ({ port, dump }) => {
    for (const way of ['fork', 'v8']) {
      const { worstMs, result } = await worstLatency(port, () => dump(way))
      if (way === 'fork') assert.equal(result.way, 'fork', JSON.stringify(result))
      worst[way].push(Math.round(worstMs))
    }
  })
}
const [forked, inPlace] = [median(worst.fork), median(worst.v8)]
console.log(
  `heap of ${heapMb} MB: worst latency ${forked} ms (${worst.fork.join(', ')}) against ${inPlace} ms ` +
    `(${worst.v8.join(', ')}): 1/${Math.round(inPlace / forked)} (at most 1/20)`,
)
assert.ok(forked <= inPlace / 20)
