// With 4 GB free every dump leaves a whole snapshot with the class and the count that the program made. CMM_COUNT (20),
// CMM_HEAP_MB (100), CMM_LIMIT_MB (4300).
import assert from 'node:assert/strict'
import { instances, parameter, withCgroup, withForking } from './programs/forking.mjs'

const [count, heapMb] = [parameter('CMM_COUNT', 20), parameter('CMM_HEAP_MB', 100)]
const limitBytes = parameter('CMM_LIMIT_MB', 4300) * 1024 * 1024
let whole = 0
const others = []
for (let round = 0; round < count; round++) {
  await withCgroup(limitBytes, (procs) =>
    withForking({ heapMb, procs }, async ({ dump, leaked }) => {
      const result = await dump('fork')
      if (result.way === 'fork' && instances(result.file, 'LeakedThing') === leaked) whole++
      else others.push(result.way ?? JSON.stringify(result))
    }),
  )
}
console.log(
  `heap of ${heapMb} MB, 4 GB free: ${whole} of ${count} whole with the right count ${others.join(' ')}`,
)
assert.equal(whole, count)
