// A heap of 150 MB under a memory limit of 1000 MB: the application survives every dump, and each leaves at least a .heapprofile
// that names the leaking function; v8.writeHeapSnapshot and heapdump kill it every time. The first profile is opened in
// DevTools. CMM_COUNT (20), CMM_HEAP_MB (150), CMM_LIMIT_MB (1000).
import assert from 'node:assert/strict'
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { names, parameter, withCgroup, withForking } from './programs/forking.mjs'
import { openHeapProfile } from './programs/open-in-devtools.mjs'

const [count, heapMb] = [parameter('CMM_COUNT', 20), parameter('CMM_HEAP_MB', 150)]
const limitBytes = parameter('CMM_LIMIT_MB', 1000) * 1024 * 1024
const limited = (follow) => withCgroup(limitBytes, (procs) => withForking({ heapMb, procs }, follow))
const keep = mkdtempSync(join(tmpdir(), 'accept-keep-'))

const survived = { fork: 0, v8: 0, heapdump: 0 }
let profiles = 0
let snapshots = 0
let opened
for (let round = 0; round < count; round++) {
  await limited(async ({ dump }) => {
    const result = await dump('fork')
    survived.fork += result.aliveAfter ? 1 : 0
    const profile = result.files?.find((file) => file.endsWith('.heapprofile'))
    if (profile && names(profile, 'leakThings')) profiles++
    if (result.way === 'fork') snapshots++
    if (!profile || opened) return
    opened = join(keep, basename(profile))
    copyFileSync(profile, opened)
  })
  const inPlace = process.env.CMM_TEST_PACKAGES ? ['v8', 'heapdump'] : ['v8']
  for (const way of inPlace) {
    await limited(async ({ dump }) => (survived[way] += (await dump(way)).aliveAfter ? 1 : 0))
  }
}
const inDevTools = opened && (await openHeapProfile(opened))
rmSync(keep, { recursive: true, force: true })
console.log(
  `heap of ${heapMb} MB, limit ${limitBytes / 1024 / 1024} MB, ${count} times: survived ${survived.fork} forked ` +
    `(${profiles} profiles that name the function, ${snapshots} snapshots; DevTools: ${inDevTools}), ` +
    `${survived.v8} v8.writeHeapSnapshot, ${process.env.CMM_TEST_PACKAGES ? survived.heapdump : 'not run:'} heapdump`,
)
assert.deepEqual([survived.fork, profiles, survived.v8, survived.heapdump], [count, count, 0, 0])
assert.ok(
  process.env.CMM_TEST_PACKAGES,
  'heapdump was not run: CMM_TEST_PACKAGES names no directory that has it',
)
assert.ok(/leakThings|LeakedThing/.test(String(inDevTools)), String(inDevTools))
