import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readContainerUse } from '../../../src/system/container'

const MOUNT = '30 20 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n'
const MIB = 1024 * 1024

/** A container of 1000 MiB of which so much is in use, and its processes. */
function container(usedMib: number, others: readonly number[] = [], limit = `${1000 * MIB}`) {
  const files: Record<string, string> = {
    '/proc/self/mountinfo': MOUNT,
    '/proc/self/cgroup': '0::/pod\n',
    '/proc/meminfo': 'MemTotal: 16000000 kB\n',
    '/sys/fs/cgroup/pod/memory.max': limit,
    '/sys/fs/cgroup/pod/memory.current': `${(usedMib + 200) * MIB}`,
    '/sys/fs/cgroup/pod/memory.stat': `inactive_file ${200 * MIB}\n`,
    '/sys/fs/cgroup/pod/cgroup.procs': [process.pid, ...others].join('\n'),
  }
  return (path: string) => files[path]
}

/** This process has 250 MiB. */
const neighbours = (sizes: Readonly<Record<number, number>>, watching: readonly number[]) => ({
  sizeOf: (pid: number) => (pid === process.pid ? 250 * MIB : sizes[pid] && sizes[pid] * MIB),
  isWatching: (pid: number) => watching.includes(pid),
})

test('the use of all processes, without droppable page cache, is a share of the limit', () => {
  assert.equal(readContainerUse(90, container(850), neighbours({}, [])), 85)
})

test('without a limit there is no reading', () => {
  assert.equal(readContainerUse(90, container(950, [], 'max'), neighbours({}, [])), undefined)
  assert.equal(
    readContainerUse(90, () => undefined, neighbours({}, [])),
    undefined,
  )
})

test('above the threshold the largest of the processes that watch has the reading', () => {
  const pids = [8_000_001, 8_000_002]
  const smaller = neighbours({ 8_000_001: 200, 8_000_002: 240 }, pids)
  assert.equal(readContainerUse(90, container(950, pids), smaller), 95)
})

test('a smaller one has none; below the threshold all have', () => {
  const pids = [8_000_001]
  const larger = neighbours({ 8_000_001: 300 }, pids)
  assert.equal(readContainerUse(90, container(950, pids), larger), undefined)
  assert.equal(readContainerUse(90, container(850, pids), larger), 85)
})

test('a larger process that does not watch, or has ended, does not count', () => {
  const pids = [8_000_001, 8_000_002]
  assert.equal(readContainerUse(90, container(950, pids), neighbours({ 8_000_001: 900 }, [8_000_002])), 95)
})

/** Files of two processes of this container as the kernel shows them, both with the library in their memory. */
function twoProcesses(other: { readonly uid: number; readonly anonMib?: number }) {
  const pid = 8_000_001
  const status = (uid: number, mappedMib: number, anonMib?: number): string =>
    [
      `Uid:\t${uid}\t${uid}\t${uid}\t${uid}`,
      `VmRSS:\t${(mappedMib + (anonMib ?? 0)) * 1024} kB`,
      ...(anonMib === undefined ? [] : [`RssAnon:\t${anonMib * 1024} kB`]),
      '',
    ].join('\n')
  const uid = process.geteuid?.() ?? 0
  const files: Record<string, string> = {
    [`/proc/${process.pid}/status`]: status(uid, 50, 200),
    [`/proc/${pid}/status`]: status(other.uid, 1200, other.anonMib),
    [`/proc/${pid}/maps`]: '7f00-7f01 r-xp 0 0:1 1 /app/fork-helper.napi.glibc.node\n',
  }
  const kernel = container(950, [pid])
  return (path: string) => files[path] ?? kernel(path)
}

for (const [what, other, expected] of [
  ['a larger one of this user takes the reading', { uid: process.geteuid?.() ?? 0, anonMib: 300 }, undefined],
  [
    'memory that is a file, mapped many times, does not count',
    { uid: process.geteuid?.() ?? 0, anonMib: 100 },
    95,
  ],
  ["another user's process does not count", { uid: 54_321, anonMib: 300 }, 95],
  ['a kernel that does not tell them apart: all of it counts', { uid: process.geteuid?.() ?? 0 }, undefined],
] as const) {
  test(what, () => assert.equal(readContainerUse(90, twoProcesses(other)), expected))
}
