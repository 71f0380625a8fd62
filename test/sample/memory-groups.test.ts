import assert from 'node:assert/strict'
import { test } from 'node:test'

import { isKilledAsOne, limitedGroups, workingSetBytes } from '../../dist/sample/memory-groups.js'

const group = { version: 'v2', directory: '/g' } as const
const reading = (files: Record<string, string>) => (path: string) => files[path]

test('the working set is the usage without inactive file pages, never below 0', () => {
  const files = { '/g/memory.current': '500\n', '/g/memory.stat': 'anon 1\ninactive_file 200\n' }
  assert.equal(workingSetBytes(reading(files), group), 300)
  assert.equal(workingSetBytes(reading({ ...files, '/g/memory.current': '100\n' }), group), 0)
  assert.equal(workingSetBytes(reading({ ...files, '/g/memory.current': '0\n' }), group), 0)
})

test('an unknown usage is unknown, not 0', () => {
  assert.equal(workingSetBytes(reading({ '/g/memory.stat': 'inactive_file 200\n' }), group), undefined)
})

test('a group with a limit is listed, one without or with as much as the machine has is not', () => {
  const files = (limit: string) =>
    reading({
      '/proc/self/mountinfo': '31 23 0:28 / / rw - cgroup2 cgroup2 rw\n',
      '/proc/self/cgroup': '0::/g\n',
      '/g/memory.max': limit,
    })
  assert.deepEqual(limitedGroups(files('999\n'), 1000), [{ ...group, limitBytes: 999 }])
  for (const limit of ['1000\n', '1001\n', 'max\n', ''])
    assert.deepEqual(limitedGroups(files(limit), 1000), [])
})

test('all of a group are killed with the first where the group or one above it says so', () => {
  const killed = (files: Record<string, string>) =>
    isKilledAsOne(
      reading({
        '/proc/self/mountinfo': '31 23 0:28 / / rw - cgroup2 cgroup2 rw\n',
        '/proc/self/cgroup': '0::/pod/container\n',
        ...files,
      }),
    )
  assert.equal(killed({ '/pod/container/memory.oom.group': '1\n' }), true)
  assert.equal(killed({ '/pod/container/memory.oom.group': '0\n', '/pod/memory.oom.group': '1\n' }), true)
  assert.equal(killed({ '/pod/container/memory.oom.group': '0\n' }), false)
  assert.equal(killed({}), false)
})
