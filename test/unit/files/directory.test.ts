import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import {
  chmodSync,
  chownSync,
  lchownSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  statfsSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { hostname } from 'node:os'
import { basename, join } from 'node:path'
import { test } from 'node:test'
import {
  holdDirectory,
  makeDirectory,
  modeForOthers,
  readDisk,
  whoCanTamper,
  whoseFiles,
  whyNotWritable,
} from '../../../src/files/directory.js'
import { built, inNamespace, noNamespace } from '../../harness/user-namespace'
import { about, scratch, tmpfs } from './scratch'

const AS_NOBODY = join(__dirname, 'programs/as-nobody.js')
const isRoot = process.geteuid?.() === 0

function mode(path: string): string {
  return (lstatSync(path).mode & 0o777).toString(8)
}

test('a directory that is there and can be written: left as it was', (t) => {
  const directory = scratch(t)
  chmodSync(directory, 0o755)
  assert.equal(whyNotWritable(directory), undefined)
  assert.deepEqual(readdirSync(directory), [])
  assert.equal(mode(directory), '755')
})

for (const umask of [0o000, 0o077, 0o777]) {
  test(`missing levels are created for the owner only, umask ${umask.toString(8)}, those there keep their mode`, (t) => {
    const directory = scratch(t)
    chmodSync(directory, 0o755)
    const previous = process.umask(umask)
    t.after(() => process.umask(previous))
    assert.equal(whyNotWritable(join(directory, 'a', 'b')), undefined)
    assert.deepEqual([directory, join(directory, 'a'), join(directory, 'a', 'b')].map(mode), [
      '755',
      '700',
      '700',
    ])
    assert.deepEqual(readdirSync(join(directory, 'a', 'b')), [])
  })
}

test('a symlink to a directory is a directory', (t) => {
  const directory = scratch(t)
  mkdirSync(join(directory, 'real'))
  symlinkSync('real', join(directory, 'link'))
  assert.equal(whyNotWritable(join(directory, 'link')), undefined)
})

const OTHER_UID = 54_321

test('levels are created behind a symlink of this user', (t) => {
  const directory = scratch(t)
  mkdirSync(join(directory, 'real'))
  for (const target of ['real', join(directory, 'real')]) {
    symlinkSync(target, join(directory, 'link'))
    makeDirectory(join(directory, 'link', 'a', 'b'))
    assert.equal(mode(join(directory, 'real', 'a', 'b')), '700')
    rmSync(join(directory, 'link'))
    rmSync(join(directory, 'real', 'a'), { recursive: true })
  }
})

test('nothing is created behind a symlink of another user', { skip: !isRoot && 'needs root' }, (t) => {
  const directory = scratch(t)
  mkdirSync(join(directory, 'real'))
  symlinkSync('real', join(directory, 'link'))
  lchownSync(join(directory, 'link'), OTHER_UID, OTHER_UID)
  assert.throws(() => makeDirectory(join(directory, 'link', 'a')), {
    message: `${join(directory, 'link')} is not followed, because it is a symbolic link of another user`,
  })
  assert.deepEqual(readdirSync(join(directory, 'real')), [])
})

/** Directories that hold a link of root's, and whether another user can exchange it there. */
const HOLDERS: readonly (readonly [string, number, number, number, RegExp | undefined])[] = [
  ['of root', 0o755, 0, 0, undefined],
  ['of root, sticky and writable for all, as /tmp', 0o1777, 0, 0, undefined],
  ["another user's", 0o755, OTHER_UID, OTHER_UID, /belongs to the user 54321$/],
  ["another user's, and sticky", 0o1777, OTHER_UID, OTHER_UID, /belongs to the user 54321$/],
  ['writable for all', 0o777, 0, 0, /is writable for all users and has no sticky bit$/],
  ['writable for a group', 0o775, 0, OTHER_UID, /is writable for the group 54321 and has no sticky bit$/],
]

for (const [what, bits, uid, gid, expected] of HOLDERS) {
  const skip = !isRoot && 'only root can give a directory away'
  test(`a link in a directory ${what}: ${expected ? 'refused' : 'followed'}`, { skip }, (t) => {
    const directory = scratch(t)
    const [holder, real] = [join(directory, 'holder'), join(directory, 'real')]
    for (const each of [holder, real]) mkdirSync(each)
    const link = join(holder, 'current')
    symlinkSync(real, link)
    chownSync(holder, uid, gid)
    chmodSync(holder, bits)
    const why = whyNotWritable(join(link, 'dumps'))
    assert.deepEqual(readdirSync(real), expected ? [] : ['dumps'])
    if (expected === undefined) return void assert.equal(why, undefined)
    const beginning = `${link} is not followed, because it is a symbolic link that other users can replace: ${holder} `
    assert.equal(why?.slice(0, beginning.length), beginning)
    assert.match(why ?? '', expected)
    assert.throws(() => holdDirectory(link), { message: why })
  })
}

test(
  "another user's directory without a link on the way is entered",
  { skip: !isRoot && 'needs root' },
  (t) => {
    const directory = join(scratch(t), 'theirs')
    mkdirSync(directory)
    chownSync(directory, OTHER_UID, OTHER_UID)
    assert.equal(whyNotWritable(join(directory, 'dumps')), undefined)
  },
)

test('no descriptor stays open, whether the directory can be made or not', (t) => {
  const directory = scratch(t)
  writeFileSync(join(directory, 'file'), '')
  symlinkSync('loop', join(directory, 'loop'))
  const before = readdirSync('/proc/self/fd').length
  makeDirectory(join(directory, 'a', 'b'))
  for (const path of ['file', 'loop']) assert.throws(() => makeDirectory(join(directory, path, 'c')))
  assert.equal(readdirSync('/proc/self/fd').length, before)
})

test('a file, a path through a file and a dangling symlink are no directories, and stay', (t) => {
  const directory = scratch(t)
  writeFileSync(join(directory, 'file'), 'precious')
  symlinkSync('nowhere', join(directory, 'link'))
  for (const path of ['file', 'file/below', 'link']) {
    assert.match(whyNotWritable(join(directory, path)) ?? '', /ENOTDIR|ENOENT/, path)
  }
  assert.deepEqual(readdirSync(directory), ['file', 'link'])
})

test('a read-only disk', (t) => {
  const disk = tmpfs(t, 64 * 1024)
  if (disk === undefined) return
  assert.equal(whyNotWritable(disk.path), undefined)
  disk.makeReadOnly()
  assert.match(whyNotWritable(disk.path) ?? '', /EROFS/)
  assert.throws(() => makeDirectory(join(disk.path, 'missing')), { code: 'EROFS' })
  makeDirectory(disk.path)
})

test('the trial is written and removed in one directory, whatever its name leads to meanwhile', (t) => {
  const above = scratch(t)
  const [directory, moved] = [join(above, 'dumps'), join(above, 'moved')]
  mkdirSync(directory)
  const unlink = fs.unlinkSync.bind(fs)
  const mocked = t.mock.method(fs, 'unlinkSync', (path: string) => {
    renameSync(directory, moved)
    mkdirSync(directory)
    writeFileSync(join(directory, basename(path)), 'precious')
    unlink(path)
  })
  assert.equal(whyNotWritable(directory), undefined)
  assert.equal(mocked.mock.callCount(), 1)
  assert.deepEqual([readdirSync(directory).length, readdirSync(moved).length], [1, 0])
})

test('no trial is made behind a symlink of another user', { skip: !isRoot && 'needs root' }, (t) => {
  const directory = scratch(t)
  mkdirSync(join(directory, 'real'))
  symlinkSync('real', join(directory, 'link'))
  lchownSync(join(directory, 'link'), OTHER_UID, OTHER_UID)
  const mocked = t.mock.method(fs, 'unlinkSync')
  assert.equal(modeForOthers(join(directory, 'link')), undefined)
  assert.equal(mocked.mock.callCount(), 0)
})

test('a full disk: the trial says so and leaves nothing', (t) => {
  const disk = tmpfs(t, 64 * 1024)
  if (disk === undefined) return
  writeFileSync(join(disk.path, 'filler'), Buffer.alloc(64 * 1024))
  assert.match(whyNotWritable(disk.path) ?? '', /ENOSPC/)
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
  const { why, opened, deleted } = JSON.parse(output) as Record<string, unknown>
  assert.match(String(why), /EACCES/)
  assert.equal(opened, 'EACCES')
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
    const { why, opened, deleted } = JSON.parse(output) as Record<string, unknown>
    assert.match(String(opened), /^cpu-\d+-\d+\.cpuprofile\.partial$/)
    assert.deepEqual([why, deleted], ['writable', []])
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

test('free bytes of a directory that is not there: the error says so', async (t) => {
  await assert.rejects(readDisk(join(scratch(t), 'missing')), { code: 'ENOENT' })
})

test('where nothing can be made it says so, instead of trying for ever', () => {
  assert.match(whyNotWritable('/proc/cpu-memory-monitor/nothing') ?? '', /ENOENT/)
})

test('a directory that a neighbour swaps for a symlink at the worst moment: nothing of its target is changed', (t) => {
  const parent = scratch(t)
  const victim = join(parent, 'victim')
  mkdirSync(victim, { mode: 0o755 })
  chmodSync(victim, 0o755)
  const mkdir = fs.mkdirSync
  t.mock.method(fs, 'mkdirSync', (path: string, options: object) => {
    mkdir(path, options)
    renameSync(path, `${path}-aside`)
    symlinkSync(victim, path)
  })
  makeDirectory(join(parent, 'dumps'))
  assert.equal(mode(victim), '755')
  assert.equal(mode(join(parent, 'dumps-aside')), '700')
})

test('another directory of ours that a neighbour puts in its place keeps its mode', (t) => {
  const parent = scratch(t)
  const mkdir = fs.mkdirSync
  for (const [umask, victimsMode] of [
    [0o022, 0o555],
    [0o777, 0o555],
  ] as const) {
    const victim = join(parent, `victim-${umask}`)
    mkdirSync(victim)
    chmodSync(victim, victimsMode)
    const previous = process.umask(umask)
    t.after(() => process.umask(previous))
    const mocked = t.mock.method(fs, 'mkdirSync', (path: string, options: object) => {
      mkdir(path, options)
      renameSync(path, `${path}-aside`)
      renameSync(victim, path)
    })
    const directory = join(parent, `dumps-${umask}`)
    makeDirectory(directory)
    mocked.mock.restore()
    process.umask(previous)
    assert.equal(mode(directory), '555')
  }
})

const NOBODY = 65534

/** Each a parent of the directory for dumps. */
const LEVELS: readonly (readonly [string, number, number, number, RegExp | undefined])[] = [
  ['own, for the owner only', 0o700, 0, 0, undefined],
  ['readable for all', 0o755, 0, 0, undefined],
  ['writable for group 0', 0o775, 0, 0, /is writable for the group 0 and has no sticky bit/],
  ['writable for another group', 0o775, 0, NOBODY, /is writable for the group 65534/],
  ['sticky and writable for all, as /tmp', 0o1777, 0, 0, undefined],
  ['writable for all without the sticky bit', 0o777, 0, 0, /is writable for all users and has no sticky bit/],
  ["another user's", 0o755, NOBODY, NOBODY, /belongs to the user 65534/],
  ["another user's, and sticky", 0o1777, NOBODY, NOBODY, /belongs to the user 65534/],
]

for (const [what, bits, uid, gid, expected] of LEVELS) {
  const skip = !isRoot && 'only root can give a directory away'
  test(`a level that is ${what}: ${expected ? 'named' : 'no word of it'}`, { skip }, (t) => {
    const directory = scratch(t)
    const level = join(directory, 'level')
    const dumps = join(level, 'dumps')
    makeDirectory(dumps)
    chownSync(level, uid, gid)
    chmodSync(level, bits)
    symlinkSync(dumps, join(directory, 'link'))
    for (const path of [dumps, level, join(directory, 'link')]) {
      const found = whoCanTamper(path)
      if (expected) assert.match(found ?? '', expected)
      else assert.equal(found, undefined)
      if (expected) assert.ok(found?.startsWith(level))
    }
  })
}

for (const [what, users, groups, isNamed] of [
  ['nobody else is in', 'service:x:54321:54321:::', 'service:x:54321:', false],
  ['only the owner is in', 'service:x:54321:54321:::', 'service:x:54321:service', false],
  ['/etc does not know', 'root:x:0:0:::', 'root:x:0:', false],
  ['another user is in', 'service:x:54321:54321:::', 'service:x:54321:service,other', true],
  ['another user has as his first', 'service:x:54321:54321:::\nother:x:7:54321:::', 'service:x:54321:', true],
] as const) {
  const skip = !isRoot && 'only root can give a directory away'
  const named = isNamed ? 'named' : 'no word of it'
  test(`a level that is writable for a group of its owner's number that ${what}: ${named}`, { skip }, (t) => {
    const level = join(scratch(t), 'level')
    mkdirSync(level)
    chownSync(level, OTHER_UID, OTHER_UID)
    chmodSync(level, 0o775)
    const read = fs.readFileSync.bind(fs) as (path: unknown, ...rest: unknown[]) => unknown
    t.mock.method(fs, 'readFileSync', (path: unknown, ...rest: unknown[]) => {
      if (path === '/etc/passwd') return users
      return path === '/etc/group' ? groups : read(path, ...rest)
    })
    t.mock.method(process as Required<NodeJS.Process>, 'geteuid', () => OTHER_UID)
    const found = whoCanTamper(level)
    if (isNamed) assert.match(found ?? '', /is writable for the group 54321/)
    else assert.equal(found, undefined)
  })
}

test("a symlink of another user's on the way is named", { skip: !isRoot }, (t) => {
  const directory = scratch(t)
  makeDirectory(join(directory, 'real'))
  symlinkSync('real', join(directory, 'link'))
  fs.lchownSync(join(directory, 'link'), NOBODY, NOBODY)
  assert.match(whoCanTamper(join(directory, 'link')) ?? '', /link belongs to the user 65534/)
})

test('new files that do not count as own are named with their owner, and leave no trace', (t) => {
  const directory = scratch(t)
  assert.equal(whoseFiles(directory), undefined)
  assert.equal(
    whoseFiles(directory, () => false),
    `the user ${process.geteuid?.()}`,
  )
  assert.equal(whoseFiles(join(directory, 'missing')), undefined)
  assert.deepEqual(readdirSync(directory), [])
})

test(
  'in a user namespace new files are own, and directories of others are named',
  { skip: noNamespace },
  (t) => {
    const directory = scratch(t)
    const others = join(directory, 'others')
    mkdirSync(others, { mode: 0o755 })
    const { group, hers } = { group: join(directory, 'group'), hers: join(directory, 'hers') }
    for (const path of [group, hers]) mkdirSync(path)
    chmodSync(group, 0o770)
    chownSync(hers, 12_345, 12_345)
    const module = built('files/directory')
    const owners = built('files/owners')
    const judge = (path: string): unknown =>
      inNamespace(`${owners}.whyOpen(process.argv[1], fs.lstatSync(process.argv[1])) ?? 'safe'`, path)
    assert.equal(inNamespace(`${module}.whoseFiles(process.argv[1]) ?? 'own'`, directory), 'own')
    assert.equal(judge(others), 'safe')
    assert.match(
      String(judge(hers)),
      /^belongs to the user 65534, by which this user namespace shows all users/,
    )
    // The group has the number of its owner, but may be any group outside of the namespace.
    assert.match(String(judge(group)), /^is writable for the group 65534/)
  },
)
