import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  statfsSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { prepareDirectory, readDisk } from '../../dist/files/directory.js'
import { about, scratch, tmpfs } from './scratch'

const AS_NOBODY = join(__dirname, '../fixtures/files/as-nobody.js')
const isRoot = process.geteuid?.() === 0

function mode(path: string): string {
  return (lstatSync(path).mode & 0o777).toString(8)
}

test('a directory that is there and can be written: left as it was', async (t) => {
  const directory = scratch(t)
  chmodSync(directory, 0o755)
  assert.deepEqual(await prepareDirectory(directory), { writable: true })
  assert.deepEqual(readdirSync(directory), [])
  assert.equal(mode(directory), '755')
})

for (const umask of [0o000, 0o077]) {
  test(`missing levels are created for the owner only, umask ${umask.toString(8)}, those there keep their mode`, async (t) => {
    const directory = scratch(t)
    chmodSync(directory, 0o755)
    const previous = process.umask(umask)
    t.after(() => process.umask(previous))
    assert.deepEqual(await prepareDirectory(join(directory, 'a', 'b')), { writable: true })
    assert.deepEqual([directory, join(directory, 'a'), join(directory, 'a', 'b')].map(mode), [
      '755',
      '700',
      '700',
    ])
    assert.deepEqual(readdirSync(join(directory, 'a', 'b')), [])
  })
}

test('a symlink to a directory is a directory', async (t) => {
  const directory = scratch(t)
  mkdirSync(join(directory, 'real'))
  symlinkSync('real', join(directory, 'link'))
  assert.deepEqual(await prepareDirectory(join(directory, 'link')), { writable: true })
})

test('a file, a path through a file and a dangling symlink are no directories, and stay', async (t) => {
  const directory = scratch(t)
  writeFileSync(join(directory, 'file'), 'precious')
  symlinkSync('nowhere', join(directory, 'link'))
  for (const path of ['file', 'file/below', 'link']) {
    const verdict = await prepareDirectory(join(directory, path))
    assert.ok(!verdict.writable && verdict.reason.includes(join(directory, 'file').slice(0, -4)), path)
  }
  assert.deepEqual(readdirSync(directory), ['file', 'link'])
})

test('a read-only disk', async (t) => {
  const disk = tmpfs(t, 64 * 1024)
  if (disk === undefined) return
  assert.deepEqual(await prepareDirectory(disk.path), { writable: true })
  disk.makeReadOnly()
  const verdict = await prepareDirectory(disk.path)
  assert.ok(!verdict.writable && verdict.code === 'EROFS')
})

test('a full disk: the trial says so and leaves nothing', async (t) => {
  const disk = tmpfs(t, 64 * 1024)
  if (disk === undefined) return
  writeFileSync(join(disk.path, 'filler'), Buffer.alloc(64 * 1024))
  const verdict = await prepareDirectory(disk.path)
  assert.ok(!verdict.writable && verdict.code === 'ENOSPC')
  assert.deepEqual(readdirSync(disk.path), ['filler'])
})

test("somebody else's directory", { skip: !isRoot && 'only root can become somebody else' }, (t) => {
  const directory = scratch(t)
  chmodSync(directory, 0o755)
  writeFileSync(join(directory, 'cpu-1-1.cpuprofile'), 'precious')
  writeFileSync(join(directory, 'cpu-1-1.cpuprofile.json'), JSON.stringify({ tool: 'cpu-memory-monitor' }))
  const output = execFileSync(
    process.execPath,
    [AS_NOBODY, directory, hostname(), JSON.stringify(about(directory))],
    {
      encoding: 'utf8',
    },
  )
  const { verdict, opened, deleted } = JSON.parse(output) as Record<
    string,
    { writable?: boolean; code?: string }
  >
  assert.deepEqual([verdict?.writable, verdict?.code], [false, 'EACCES'])
  assert.equal(opened, 'EEXIST')
  assert.deepEqual(deleted, [])
  assert.deepEqual(readdirSync(directory), ['cpu-1-1.cpuprofile', 'cpu-1-1.cpuprofile.json'])
})

test(
  'a shared directory, as /tmp: one may write, but touches nothing of the others',
  { skip: !isRoot },
  (t) => {
    const directory = scratch(t)
    chmodSync(directory, 0o1777)
    const names = [
      'cpu-2-2.cpuprofile',
      'cpu-2-2.cpuprofile.json',
      'cpu-3-3.cpuprofile.json',
      'cpu-3-3.cpuprofile.partial',
      'cpu-4-4.cpuprofile',
      'cpu-4-4.cpuprofile.json',
    ]
    for (const name of names) {
      const artefact = name.replace(/\.(json|partial)$/, '')
      const sidecar = { tool: 'cpu-memory-monitor', artefact, ...about(directory) }
      writeFileSync(join(directory, name), JSON.stringify(sidecar), { mode: 0o644 })
    }
    // Their own file, but somebody else's word about it.
    chownSync(join(directory, 'cpu-4-4.cpuprofile'), 65534, 65534)
    const output = execFileSync(
      process.execPath,
      [AS_NOBODY, directory, hostname(), JSON.stringify(about(directory))],
      {
        encoding: 'utf8',
      },
    )
    const { verdict, opened, deleted } = JSON.parse(output) as Record<string, unknown>
    assert.deepEqual([verdict, opened, deleted], [{ writable: true }, 'opened', []])
    assert.ok(names.every((name) => readdirSync(directory).includes(name)))
  },
)

test('free bytes are what the file system leaves to the unprivileged', async (t) => {
  const disk = tmpfs(t, 1024 * 1024)
  if (disk === undefined) return
  const { freeBytes: emptyBytes } = await readDisk(disk.path)
  writeFileSync(join(disk.path, 'filler'), Buffer.alloc(512 * 1024))
  assert.equal(emptyBytes, 1024 * 1024)
  const { freeBytes } = await readDisk(disk.path)
  assert.equal(freeBytes, 512 * 1024)
  assert.equal(freeBytes, statfsSync(disk.path).bavail * statfsSync(disk.path).bsize)
})

test('a tmpfs is told from a disk', async (t) => {
  const disk = tmpfs(t, 1024 * 1024)
  if (disk === undefined) return
  assert.equal((await readDisk(disk.path)).isMemory, true)
  assert.equal((await readDisk('/proc')).isMemory, false)
})

test('the trial is never to be seen, so that no exit leaves it', async (t) => {
  const directory = scratch(t)
  let isOver = false
  const preparing = prepareDirectory(directory).finally(() => (isOver = true))
  while (!isOver) {
    assert.deepEqual(readdirSync(directory), [])
    await new Promise((resolve) => setImmediate(resolve))
  }
  assert.deepEqual(await preparing, { writable: true })
})

test('free bytes of a directory that is not there: the error says so', async (t) => {
  await assert.rejects(readDisk(join(scratch(t), 'missing')), { code: 'ENOENT' })
})

test('where nothing can be made it says so, instead of trying for ever', async () => {
  const verdict = await prepareDirectory('/proc/cpu-memory-monitor/nothing')
  assert.equal(verdict.writable, false)
})
