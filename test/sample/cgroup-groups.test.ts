import assert from 'node:assert/strict'
import { test } from 'node:test'

import fc from 'fast-check'

import { findGroups } from '../../dist/sample/cgroup-groups.js'

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

test('an ordinary file system that is mounted where cgroups are wont to be is none', () => {
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
