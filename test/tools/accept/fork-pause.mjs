// The pause of the main thread for a snapshot of a heap of small objects: forked, at most 1 % of v8.writeHeapSnapshot's in the
// same process. CMM_HEAP_MB (200), CMM_ROUNDS (1).
import assert from 'node:assert/strict'
import { median, parameter, withForking } from './programs/forking.mjs'

const heapMb = parameter('CMM_HEAP_MB', 200)
const shares = []
const figures = []
for (let round = 0; round < parameter('CMM_ROUNDS', 1); round++) {
  await withForking({ heapMb }, async ({ dump }) => {
    const forked = await dump('fork')
    assert.equal(forked.way, 'fork', JSON.stringify(forked))
    const { pauseMs } = await dump('v8')
    shares.push(forked.pauseMs / pauseMs)
    figures.push(`${forked.pauseMs} ms against ${Math.round(pauseMs)} ms`)
  })
}
const share = median(shares)
console.log(`heap of ${heapMb} MB: pause ${figures.join(', ')}: ${(share * 100).toFixed(3)} % (at most 1 %)`)
assert.ok(share <= 0.01)
