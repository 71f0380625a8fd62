// With 4 GB free every dump leaves a whole snapshot, in which the heap summary of DevTools shows the leaked class with the count
// that the program made. CMM_COUNT (20), CMM_HEAP_MB (100), CMM_LIMIT_MB (4300).
import assert from 'node:assert/strict'
import { parameter, withCgroup, withForking } from './programs/forking.mjs'
import { withDevTools } from './programs/open-in-devtools.mjs'

const [count, heapMb] = [parameter('CMM_COUNT', 20), parameter('CMM_HEAP_MB', 100)]
const limitBytes = parameter('CMM_LIMIT_MB', 4300) * 1024 * 1024
let whole = 0
const others = []
await withDevTools(async (devTools) => {
  for (let round = 0; round < count; round++) {
    await withCgroup(limitBytes, (procs) =>
      withForking({ heapMb, procs }, async ({ dump, leaked }) => {
        const result = await dump('fork')
        const shown = result.way === 'fork' && (await devTools.instances(result.file, 'LeakedThing'))
        if (shown === leaked) whole++
        else others.push(`${result.way ?? JSON.stringify(result)}: ${shown} of ${leaked}`)
      }),
    )
  }
})
console.log(
  `heap of ${heapMb} MB, 4 GB free: ${whole} of ${count} whole, DevTools shows the right count ${others.join(', ')}`,
)
assert.equal(whole, count)
