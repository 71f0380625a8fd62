import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import {
  findGroups,
  isKilledAsOne,
  limitedGroups,
  limitProblems,
  workingSetBytes,
} from '../../../src/system/limits'
import { CGROUP_ROOTS, readerOf } from './cgroup-roots'

const v2 = '31 23 0:28 / /sys/fs/cgroup rw shared:4 master:1 - cgroup2 cgroup2 rw\n'
const v1 = '35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n'

const directories = (mountinfo: string, cgroup: string) =>
  findGroups(mountinfo, cgroup, 'memory').map(({ version, directory }) => `${version} ${directory}`)

test('the own group first, the mount point last', () => {
  assert.deepEqual(directories(v2, '0::/a/b\n'), [
    'v2 /sys/fs/cgroup/a/b',
    'v2 /sys/fs/cgroup/a',
    'v2 /sys/fs/cgroup',
  ])
})

test('a hybrid machine: both versions', () => {
  assert.deepEqual(directories(v2.replace('/cgroup rw', '/cgroup/unified rw') + v1, '4:memory:/a\n0::/\n'), [
    'v2 /sys/fs/cgroup/unified',
    'v1 /sys/fs/cgroup/memory/a',
    'v1 /sys/fs/cgroup/memory',
  ])
})

test('a v1 mount of another controller, or one whose name only contains ours, is none', () => {
  assert.deepEqual(directories(v1.replace('rw,memory', 'rw,name=memory'), '4:memory:/a\n'), [])
  assert.deepEqual(directories(v1, '4:name=memory:/a\n'), [])
})

test('an ordinary file system that is mounted at the usual place of cgroups is none', () => {
  assert.deepEqual(directories(v2.replace('- cgroup2', '- tmpfs'), '0::/a\n'), [])
})

test('a path never leads out of the mount', () => {
  assert.deepEqual(directories(v2, '0::/../../etc\n'), ['v2 /sys/fs/cgroup'])
  assert.deepEqual(directories(v2, '0::/a/../../etc\n'), ['v2 /sys/fs/cgroup'])
})

test('whatever the two files say: no error, and every directory is a path', () => {
  const piece = fc.oneof(
    fc.constantFrom(
      v2,
      v1,
      '0::/a/b',
      '4:memory:/',
      ' - ',
      '\n',
      ' ',
      ':',
      '/',
      '..',
      '\\040',
      '\\777',
      'cgroup2',
    ),
    fc.string(),
  )
  const text = fc.array(piece, { maxLength: 12 }).map((parts) => parts.join(''))
  fc.assert(
    fc.property(text, text, (mountinfo, cgroup) => {
      for (const { directory } of findGroups(mountinfo, cgroup, 'memory'))
        assert.ok(directory.startsWith('/'))
    }),
  )
})

const group = { version: 'v2', directory: '/g' } as const
const reading = readerOf

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

describe('a file that is malformed or unreadable is reported by name and line', () => {
  for (const [name, { files, problems = [] }] of Object.entries(CGROUP_ROOTS)) {
    test(name, () => {
      const found = (['memory', 'cpu'] as const).flatMap((controller) =>
        limitProblems(readerOf(files), controller),
      )
      assert.deepEqual([...new Set(found)], problems)
    })
  }

  test('the line is that of the fault', () => {
    const files = {
      '/proc/self/mountinfo': `${v1}x y\n`,
      '/proc/self/cgroup': '4:memory:/a\n3:cpu\n',
      '/sys/fs/cgroup/memory/a/memory.limit_in_bytes': '-1\n',
      '/sys/fs/cgroup/memory/a/memory.stat': 'cache 1\nhierarchical_memory_limit 512M\n',
    }
    assert.deepEqual(limitProblems(readerOf(files), 'memory'), [
      '/proc/self/mountinfo line 2 is malformed ("x y")',
      '/proc/self/cgroup line 2 is malformed ("3:cpu")',
      '/sys/fs/cgroup/memory/a/memory.stat line 2 is malformed ("hierarchical_memory_limit 512M")',
    ])
  })

  test('a machine without such files has none', () => {
    assert.deepEqual(limitProblems(readerOf({}), 'memory'), [])
  })
})
