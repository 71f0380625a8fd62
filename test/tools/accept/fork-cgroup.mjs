// A heap of 150 MB under a memory limit of 1000 MB: the application survives every dump, and each leaves at least a .heapprofile
// that DevTools opens and that names the leaking function; v8.writeHeapSnapshot and heapdump kill it every time.
// CMM_COUNT (20), CMM_HEAP_MB (150), CMM_LIMIT_MB (1000).
import assert from 'node:assert/strict'
import { parameter, withCgroup, withForking } from './programs/forking.mjs'
import { withDevTools } from './programs/open-in-devtools.mjs'
import { testPackages } from './programs/test-packages.mjs'

const [count, heapMb] = [parameter('CMM_COUNT', 20), parameter('CMM_HEAP_MB', 150)]
const limitBytes = parameter('CMM_LIMIT_MB', 1000) * 1024 * 1024
const env = { ...process.env, CMM_TEST_PACKAGES: testPackages() }
const limited = (follow) => withCgroup(limitBytes, (procs) => withForking({ heapMb, procs, env }, follow))

const survived = { fork: 0, v8: 0, heapdump: 0 }
let profiles = 0
let snapshots = 0
await withDevTools(async (devTools) => {
  for (let round = 0; round < count; round++) {
    await limited(async ({ dump }) => {
      const result = await dump('fork')
      survived.fork += result.aliveAfter ? 1 : 0
      const profile = result.files?.find((file) => file.endsWith('.heapprofile'))
      if (profile && (await devTools.names(profile, 'leakThings'))) profiles++
      if (result.way === 'fork') snapshots++
    })
    for (const way of ['v8', 'heapdump']) {
      await limited(async ({ dump }) => (survived[way] += (await dump(way)).aliveAfter ? 1 : 0))
    }
  }
})
console.log(
  `heap of ${heapMb} MB, limit ${limitBytes / 1024 / 1024} MB, ${count} times: survived ${survived.fork} forked ` +
    `(${profiles} profiles in which DevTools names the function, ${snapshots} snapshots), ` +
    `${survived.v8} v8.writeHeapSnapshot, ${survived.heapdump} heapdump`,
)
assert.deepEqual([survived.fork, profiles, survived.v8, survived.heapdump], [count, count, 0, 0])
