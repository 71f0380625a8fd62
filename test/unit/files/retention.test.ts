import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import type * as nodeFs from 'node:fs'
import fs, {
  chownSync,
  closeSync,
  cpSync,
  lchownSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { createRequire } from 'node:module'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { after, test, type TestContext } from 'node:test'
import { lookAtDescriptors } from '../../../src/base/descriptors.js'
import { openArtefact } from '../../../src/files/artefact.js'
import {
  deleteExpired,
  MAX_FOREIGN_NAMES,
  MAX_NAMES,
  sweepStalePartials,
} from '../../../src/files/retention.js'
import { MAX_SIDECAR_BYTES } from '../../../src/files/sidecar.js'
import { built, inNamespace, noNamespace, UNMAPPED } from '../../harness/user-namespace'
import { about, HOW, PROFILE, scratch, tmpfs } from './scratch'

const HOST = hostname()
/** A number that no process has: above the largest that Linux gives. */
const DEAD_PID = 4_194_305
const LONG_AGO_MS = 1_600_000_000_000
const NOBODY = 65534
const notRoot = process.getuid?.() === 0 ? false : 'only root can give a link away'
const noProc = process.platform === 'linux' ? false : 'only Linux shows who has a file open'

// The work rests on unref'd timers between its pieces.
const hold = setInterval(() => undefined, 1000)
after(() => clearInterval(hold))

async function publish(directory: string, name: string): Promise<void> {
  const artefact = openArtefact(directory, name, about(directory))
  artefact.write(PROFILE)
  await artefact.publish(HOW)
}

function sidecarOf(directory: string, artefact: string, changes: object = {}): string {
  return JSON.stringify({ tool: 'cpu-memory-monitor', artefact, ...about(directory), ...changes })
}

function leavePartial(directory: string, artefact: string, sidecar = sidecarOf(directory, artefact)): void {
  writeFileSync(join(directory, `${artefact}.partial`), 'half')
  writeFileSync(join(directory, `${artefact}.json`), sidecar)
}

test('the newest stay with their sidecars, the older go with theirs', async (t) => {
  const directory = scratch(t)
  for (const ms of [1, 2, 3]) await publish(directory, `cpu-1-${ms}.cpuprofile`)
  const { deleted, failures } = await deleteExpired(directory, HOST, { keep: 2 })
  assert.deepEqual(deleted, [join(directory, 'cpu-1-1.cpuprofile')])
  assert.deepEqual(failures, [])
  assert.deepEqual(readdirSync(directory).sort(), [
    ...['cpu-1-2.cpuprofile', 'cpu-1-2.cpuprofile.json', 'cpu-1-3.cpuprofile', 'cpu-1-3.cpuprofile.json'],
  ])
})

test('keep 0 leaves nothing but manual dumps; keep false leaves all', async (t) => {
  const directory = scratch(t)
  await publish(directory, 'cpu-1-1.cpuprofile')
  await publish(directory, 'manual-cpu-1-1.cpuprofile')
  assert.deepEqual(await deleteExpired(directory, HOST, { keep: false }), { deleted: [], failures: [] })
  assert.equal(readdirSync(directory).length, 4)
  await deleteExpired(directory, HOST, { keep: 0 })
  assert.deepEqual(readdirSync(directory).sort(), [
    'manual-cpu-1-1.cpuprofile',
    'manual-cpu-1-1.cpuprofile.json',
  ])
})

test('of dumps that are to be sent, those that go unsent are named; those that were sent are not', async (t) => {
  const directory = scratch(t)
  for (const ms of [1, 2, 3, 4]) await publish(directory, `cpu-1-${ms}.cpuprofile`)
  const sent = { 'https://s3/evidence/': ['cpu-1-1.cpuprofile'], 'https://s3/other/': [] }
  writeFileSync(join(directory, '.cpu-memory-monitor-sent.json'), JSON.stringify({ sent }), { mode: 0o600 })
  const { deleted, losses } = await deleteExpired(directory, HOST, { keep: 1, isSent: true })
  assert.equal(deleted.length, 3)
  assert.deepEqual(losses, [
    `2 unsent files were deleted in ${directory}, because the option keep is 1: cpu-1-2.cpuprofile, ` +
      'cpu-1-3.cpuprofile; with keep: false, unsent files are deleted only above maxBytes',
  ])
  // Without a list nothing has been sent.
  rmSync(join(directory, '.cpu-memory-monitor-sent.json'))
  assert.match(
    (await deleteExpired(directory, HOST, { keep: 0, isSent: true })).losses?.join() ?? '',
    /^1 unsent file was deleted in .*: cpu-1-4\.cpuprofile;/,
  )
})

for (const [what, sent, isSent] of [
  ['were sent', ['cpu-1-1.cpuprofile'], true],
  ['are not to be sent', [], false],
] as const)
  test(`of dumps that ${what} none is named`, async (t) => {
    const directory = scratch(t)
    await publish(directory, 'cpu-1-1.cpuprofile')
    const list = join(directory, '.cpu-memory-monitor-sent.json')
    writeFileSync(list, JSON.stringify({ sent: { there: sent } }), { mode: 0o600 })
    const { deleted, losses = [] } = await deleteExpired(directory, HOST, { keep: 0, isSent })
    assert.deepEqual([deleted.length, losses], [1, []])
  })

test('of a dump that goes while it is read, as one that is being sent, it is not said that it went unsent', async (t) => {
  if (process.platform !== 'linux') return t.skip('only Linux shows who reads a file')
  const directory = scratch(t)
  for (const ms of [1, 2, 3]) await publish(directory, `cpu-1-${ms}.cpuprofile`)
  const fd = openSync(join(directory, 'cpu-1-1.cpuprofile'), 'r')
  t.after(() => closeSync(fd))
  const { losses } = await deleteExpired(directory, HOST, { keep: 1, isSent: true })
  assert.deepEqual(losses, [
    `1 unsent file was deleted in ${directory}, because the option keep is 1: cpu-1-2.cpuprofile; ` +
      'with keep: false, unsent files are deleted only above maxBytes',
    `1 file was deleted in ${directory}, because the option keep is 1, while being read by a process, perhaps for an ` +
      'upload: cpu-1-1.cpuprofile; a file is lost unless a log line says that it was sent',
  ])
})

test('dumps at the heap limit go without their sidecars, which a budget counts', async (t) => {
  const directory = scratch(t)
  for (const ms of [1, 2]) await publish(directory, `heap-limit-memory-1-${ms}.heapprofile`)
  const { deleted, failures } = await deleteExpired(directory, HOST, { keep: 1 })
  assert.deepEqual(deleted, [join(directory, 'heap-limit-memory-1-1.heapprofile')])
  assert.deepEqual(failures, [])
  assert.deepEqual(readdirSync(directory).sort(), [
    'heap-limit-memory-1-1.heapprofile.json',
    'heap-limit-memory-1-2.heapprofile',
    'heap-limit-memory-1-2.heapprofile.json',
  ])
})

test('one kind of name alone, when asked: the others are not touched', async (t) => {
  const directory = scratch(t)
  await publish(directory, 'cpu-1-1.cpuprofile')
  await publish(directory, 'blocked-cpu-1-1.cpuprofile')
  const { deleted } = await deleteExpired(directory, HOST, { keep: 0, only: 'cpu' })
  assert.deepEqual(deleted, [join(directory, 'cpu-1-1.cpuprofile')])
  assert.equal(readdirSync(directory).length, 2)
})

test('after the clock was ahead the dump just made stays, and those of the future go', async (t) => {
  const directory = scratch(t)
  const nowMs = Date.now()
  const future = [1, 2].map((days) => `cpu-1-${nowMs + days * 86_400_000}.cpuprofile`)
  const now = [`cpu-1-${nowMs - 1}.cpuprofile`, `cpu-1-${nowMs}.cpuprofile`]
  for (const name of [...future, ...now]) await publish(directory, name)
  const made = join(directory, now[1] ?? '')
  const { deleted } = await deleteExpired(directory, HOST, { keep: 2, made })
  assert.deepEqual(
    [...deleted].sort(),
    future.map((name) => join(directory, name)),
  )
})

test('the dump just made stays even with keep 0, until the next', async (t) => {
  const directory = scratch(t)
  const [first, second] = ['cpu-1-1.cpuprofile', 'cpu-1-2.cpuprofile'] as const
  await publish(directory, first)
  await deleteExpired(directory, HOST, { keep: 0, made: join(directory, first) })
  assert.deepEqual(readdirSync(directory), [first, `${first}.json`])
  await publish(directory, second)
  await deleteExpired(directory, HOST, { keep: 0, made: join(directory, second) })
  assert.deepEqual(readdirSync(directory), [second, `${second}.json`])
})

const isRoot = process.geteuid?.() === 0

for (const [what, extension] of [
  ['sidecars', '.json'],
  ['partials', '.partial'],
] as const) {
  const skip = !isRoot && 'only root can give files away'
  test(
    `thousands of ${what} that another user planted: the work ends, and says so; fewer are passed over`,
    { skip },
    async (t) => {
      const directory = scratch(t)
      const stale = `cpu-${DEAD_PID}-${LONG_AGO_MS}.cpuprofile`
      const clean = () =>
        extension === '.json'
          ? deleteExpired(directory, HOST, { keep: 0 })
          : sweepStalePartials(directory, HOST, Date.now())
      const plant = (from: number, to: number) => {
        for (let n = from; n < to; n++) {
          const file = join(directory, `cpu-${n}-1.cpuprofile${extension}`)
          writeFileSync(file, '')
          chownSync(file, 65534, 65534)
        }
      }
      plant(1, 100)
      if (extension === '.json') await publish(directory, stale)
      else leavePartial(directory, stale)
      const few = await clean()
      assert.deepEqual([few.deleted.length, few.incomplete], [1, undefined])

      plant(100, MAX_FOREIGN_NAMES + 2)
      const many = await clean()
      assert.match(many.incomplete ?? '', /5000 files of other users that are named like dumps/)
      assert.deepEqual([many.deleted, many.failures], [[], []])
      assert.equal(readdirSync(directory).length, MAX_FOREIGN_NAMES + 1)
    },
  )
}

test('a directory without end is read up to a number of names, and closed', async (t) => {
  const fs = createRequire(__filename)('node:fs') as typeof nodeFs
  let [given, closed] = [0, false]
  const endless = { readSync: () => ({ name: `file-${given++}` }), closeSync: () => void (closed = true) }
  t.mock.method(fs, 'opendirSync', () => endless as nodeFs.Dir)
  const { deleted, failures, incomplete } = await deleteExpired(scratch(t), HOST, { keep: 0 })
  assert.deepEqual([deleted, failures, closed], [[], [], true])
  assert.match(incomplete ?? '', /100000 names/)
  assert.ok(given <= MAX_NAMES + 1)
})

const NAME = 'cpu-1-1.cpuprofile'
const FOREIGN: Readonly<Record<string, (directory: string, path: string) => void>> = {
  'is missing': () => undefined,
  'is empty': (_directory, path) => writeFileSync(path, ''),
  'is broken': (directory, path) => writeFileSync(path, sidecarOf(directory, NAME).slice(0, -1)),
  'is a number': (_directory, path) => writeFileSync(path, '1'),
  'is null': (_directory, path) => writeFileSync(path, 'null'),
  'has another shape': (_directory, path) =>
    writeFileSync(path, '{"tool":"cpu-memory-monitor","why":[],"where":null}'),
  'names another tool': (directory, path) =>
    writeFileSync(path, sidecarOf(directory, NAME, { tool: 'another' })),
  'names another artefact': (directory, path) => writeFileSync(path, sidecarOf(directory, '../precious')),
  'names another directory': (_directory, path) => writeFileSync(path, sidecarOf('/elsewhere', NAME)),
  'is huge': (directory, path) =>
    writeFileSync(path, sidecarOf(directory, NAME, { padding: 'x'.repeat(MAX_SIDECAR_BYTES) })),
  'is a directory': (_directory, path) => mkdirSync(path),
  'is a FIFO': (_directory, path) => execFileSync('mkfifo', [path]),
  'is a symlink to one that would do': (directory, path) => {
    writeFileSync(join(directory, 'planted'), sidecarOf(directory, NAME))
    symlinkSync('planted', path)
  },
  'is a symlink to itself': (_directory, path) => symlinkSync(path, path),
}

for (const [what, plant] of Object.entries(FOREIGN)) {
  test(`an artefact or partial whose sidecar ${what} stays, and ours go all the same`, async (t) => {
    const directory = scratch(t)
    writeFileSync(join(directory, NAME), 'precious')
    plant(directory, join(directory, `${NAME}.json`))
    const before = readdirSync(directory).sort()
    await publish(directory, 'cpu-1-2.cpuprofile')
    const { deleted, failures } = await deleteExpired(directory, HOST, { keep: 0 })
    assert.deepEqual([deleted, failures], [[join(directory, 'cpu-1-2.cpuprofile')], []])
    assert.deepEqual(readdirSync(directory).sort(), before)

    writeFileSync(join(directory, `${NAME}.partial`), 'precious')
    assert.deepEqual((await sweepStalePartials(directory, HOST, Date.now())).deleted, [])
    assert.ok(readdirSync(directory).includes(`${NAME}.partial`))
  })
}

test('an artefact of another host stays', async (t) => {
  const directory = scratch(t)
  await publish(directory, NAME)
  assert.deepEqual((await deleteExpired(directory, 'another-host', { keep: 0 })).deleted, [])
  assert.equal(readdirSync(directory).length, 2)
})

test('a symlink under the name of an artefact stays, and so does what it leads to', async (t) => {
  const directory = scratch(t)
  writeFileSync(join(directory, 'victim'), 'precious')
  symlinkSync('victim', join(directory, NAME))
  writeFileSync(join(directory, `${NAME}.json`), sidecarOf(directory, NAME))
  assert.deepEqual((await deleteExpired(directory, HOST, { keep: 0 })).deleted, [])
  assert.deepEqual(readdirSync(directory).sort(), [NAME, `${NAME}.json`, 'victim'])
})

test('an artefact that is being written, or was moved away, counts for nothing', async (t) => {
  const directory = scratch(t)
  await publish(directory, 'cpu-1-1.cpuprofile')
  await publish(directory, 'cpu-1-2.cpuprofile')
  rmSync(join(directory, 'cpu-1-2.cpuprofile'))
  const artefact = openArtefact(directory, 'cpu-1-3.cpuprofile', about(directory))
  assert.deepEqual((await deleteExpired(directory, HOST, { keep: 1 })).deleted, [])
  artefact.write(PROFILE)
  await artefact.publish(HOW)
  assert.deepEqual((await deleteExpired(directory, HOST, { keep: 1 })).deleted, [
    join(directory, 'cpu-1-1.cpuprofile'),
  ])
})

test('a missing directory, a read-only disk: failures are told, not thrown', async (t) => {
  const missing = join(scratch(t), 'missing')
  const { failures } = await deleteExpired(missing, HOST, { keep: 1 })
  assert.deepEqual(
    failures.map(({ file }) => file),
    [missing],
  )
  assert.deepEqual((await sweepStalePartials(missing, HOST, Date.now())).failures.length, 1)

  const disk = tmpfs(t, 64 * 1024)
  if (disk === undefined) return
  for (const ms of [1, 2]) await publish(disk.path, `cpu-1-${ms}.cpuprofile`)
  disk.makeReadOnly()
  const refused = await deleteExpired(disk.path, HOST, { keep: 0 })
  assert.deepEqual(refused.deleted, [])
  assert.deepEqual(
    refused.failures.map(({ error }) => (error as NodeJS.ErrnoException).code),
    ['EROFS', 'EROFS'],
  )
})

/** The owner of the level above has saved dumps elsewhere exchanged for those here, by a link in the place of the directory. */
function exchange(t: TestContext): { directory: string; elsewhere: string; swap: () => void } {
  const parent = scratch(t)
  const [directory, elsewhere] = [join(parent, 'dumps'), join(scratch(t), 'saved')]
  mkdirSync(directory)
  const swap = (): void => {
    cpSync(directory, elsewhere, { recursive: true })
    renameSync(directory, `${directory}-aside`)
    symlinkSync(elsewhere, directory)
    lchownSync(directory, NOBODY, NOBODY)
  }
  return { directory, elsewhere, swap }
}

test(
  'a link of another user in the place of the directory: nothing is deleted where it leads',
  { skip: notRoot },
  async (t) => {
    const { directory, elsewhere, swap } = exchange(t)
    for (const ms of [1000, 2000, 3000]) await publish(directory, `cpu-7-${ms}.cpuprofile`)
    leavePartial(directory, `memory-${DEAD_PID}-${LONG_AGO_MS}.heapsnapshot`)
    swap()
    const before = readdirSync(elsewhere)
    const expired = await deleteExpired(directory, HOST, { keep: 1 })
    const swept = await sweepStalePartials(directory, HOST, Date.now())
    for (const { deleted, failures } of [expired, swept]) {
      assert.deepEqual(deleted, [])
      assert.match(failures[0]?.error.message ?? '', /is a symbolic link of another user/)
    }
    assert.deepEqual(readdirSync(elsewhere), before)
  },
)

test(
  'a directory that is exchanged while it is looked through: the one that was opened is worked in',
  { skip: notRoot },
  async (t) => {
    const { directory, elsewhere, swap } = exchange(t)
    for (const ms of [1000, 2000, 3000]) await publish(directory, `cpu-7-${ms}.cpuprofile`)
    const { opendirSync } = fs
    t.mock.method(fs, 'opendirSync', (...args: Parameters<typeof opendirSync>) => {
      swap()
      return opendirSync(...args)
    })
    assert.equal((await deleteExpired(directory, HOST, { keep: 1 })).deleted.length, 2)
    assert.equal(readdirSync(elsewhere).length, 6)
    assert.equal(readdirSync(`${directory}-aside`).length, 2)
  },
)

test('a stale partial goes with its sidecar', async (t) => {
  const directory = scratch(t)
  leavePartial(directory, `manual-memory-${DEAD_PID}-${LONG_AGO_MS}.heapsnapshot`)
  const { deleted, failures } = await sweepStalePartials(directory, HOST, LONG_AGO_MS + 180_001)
  assert.deepEqual(failures, [])
  assert.deepEqual(deleted.length, 1)
  assert.deepEqual(readdirSync(directory), [])
})

test(
  'a partial that another process holds open stays, however old the clock makes it',
  { skip: noProc },
  async (t) => {
    const directory = scratch(t)
    const name = `memory-${DEAD_PID}-${LONG_AGO_MS}.heapsnapshot`
    leavePartial(directory, name)
    const writer = spawn('sh', ['-c', 'exec 3>>"$0"; echo; exec cat', join(directory, `${name}.partial`)])
    t.after(() => writer.kill('SIGKILL'))
    await once(writer.stdout, 'data')
    assert.deepEqual((await sweepStalePartials(directory, HOST, Date.now())).deleted, [])
    writer.kill('SIGKILL')
    await once(writer, 'close')
    assert.equal((await sweepStalePartials(directory, HOST, Date.now())).deleted.length, 1)
  },
)

test(
  'a partial stays, and a line can say why, when more descriptors are open than are looked at',
  { skip: noProc },
  async (t) => {
    const directory = scratch(t)
    leavePartial(directory, `memory-${DEAD_PID}-${LONG_AGO_MS}.heapsnapshot`)
    const lookAtFew = (isEnough: (path: string, pid: number) => boolean) => lookAtDescriptors(isEnough, 3)
    const { deleted, incomplete } = await sweepStalePartials(directory, HOST, Date.now(), lookAtFew)
    assert.deepEqual([deleted, incomplete], [[], 'more than 100000 open files would have to be checked'])
    const swept = await sweepStalePartials(directory, HOST, Date.now())
    assert.deepEqual([swept.deleted.length, swept.incomplete], [1, undefined])
  },
)

test('the event loop turns while many open descriptors are looked at', { skip: noProc }, async (t) => {
  const directory = scratch(t)
  leavePartial(directory, `memory-${DEAD_PID}-${LONG_AGO_MS}.heapsnapshot`)
  const descriptors = Array.from({ length: 1000 }, () => openSync('/dev/null', 'r'))
  t.after(() => descriptors.forEach((fd) => closeSync(fd)))
  let turns = 0
  const timer = setInterval(() => turns++, 0)
  t.after(() => clearInterval(timer))
  const { deleted } = await sweepStalePartials(directory, HOST, Date.now())
  assert.deepEqual([deleted.length, turns > 0], [1, true])
})

test('a stale partial with the number of this process, from before it began, goes too', async (t) => {
  const directory = scratch(t)
  leavePartial(directory, `cpu-${process.pid}-${LONG_AGO_MS}.cpuprofile`)
  await sweepStalePartials(directory, HOST, Date.now())
  assert.deepEqual(readdirSync(directory), [])
})

test(
  'and so does one with the number of another process, from before that began',
  { skip: process.platform !== 'linux' && 'only Linux shows when a process began' },
  async (t) => {
    const directory = scratch(t)
    leavePartial(directory, `cpu-${process.ppid}-${LONG_AGO_MS}.cpuprofile`)
    await sweepStalePartials(directory, HOST, Date.now())
    assert.deepEqual(readdirSync(directory), [])
  },
)

for (const [what, name, nowMs] of [
  ['that is not old enough', `cpu-${DEAD_PID}-${LONG_AGO_MS}.cpuprofile`, LONG_AGO_MS + 180_000],
  ['of another process that lives', `cpu-${process.ppid}-${Date.now()}.cpuprofile`, Date.now() + 3_600_000],
  ['that this process is writing', `cpu-${process.pid}-${Date.now()}.cpuprofile`, Date.now() + 3_600_000],
] as const) {
  test(`a partial ${what} stays`, async (t) => {
    const directory = scratch(t)
    leavePartial(directory, name)
    assert.deepEqual((await sweepStalePartials(directory, HOST, nowMs)).deleted, [])
    assert.equal(readdirSync(directory).length, 2)
  })
}

test('a partial of another host stays', async (t) => {
  const directory = scratch(t)
  leavePartial(directory, `cpu-${DEAD_PID}-${LONG_AGO_MS}.cpuprofile`)
  assert.deepEqual((await sweepStalePartials(directory, 'another-host', Date.now())).deleted, [])
  assert.equal(readdirSync(directory).length, 2)
})

test('a partial that is a symlink stays, and so does what it leads to', async (t) => {
  const directory = scratch(t)
  const name = `cpu-${DEAD_PID}-${LONG_AGO_MS}.cpuprofile`
  leavePartial(directory, name)
  rmSync(join(directory, `${name}.partial`))
  writeFileSync(join(directory, 'victim'), 'precious')
  symlinkSync('victim', join(directory, `${name}.partial`))
  await sweepStalePartials(directory, HOST, Date.now())
  assert.equal(readdirSync(directory).length, 3)
  assert.equal(readFileSync(join(directory, 'victim'), 'utf8'), 'precious')
})

test('a partial left beside its published artefact goes, the artefact and its sidecar stay', async (t) => {
  const directory = scratch(t)
  const name = `cpu-${DEAD_PID}-${LONG_AGO_MS}.cpuprofile`
  leavePartial(directory, name)
  writeFileSync(join(directory, name), PROFILE)
  assert.deepEqual(
    (await deleteExpired(directory, HOST, { keep: 0 })).deleted,
    [],
    'it may be in the middle of its renaming',
  )
  await sweepStalePartials(directory, HOST, Date.now())
  assert.deepEqual(readdirSync(directory).sort(), [name, `${name}.json`])
})

test(
  'in a user namespace files of users it does not map are not own, though they have the same id',
  { skip: noNamespace },
  async (t) => {
    const directory = scratch(t)
    for (const ms of [1, 2, 3]) await publish(directory, `cpu-1-${ms}.cpuprofile`)
    // Newer dumps, which would take the places of the own ones.
    for (const ms of [7, 8, 9]) {
      const forged = `cpu-1-${ms}.cpuprofile`
      writeFileSync(join(directory, forged), PROFILE)
      writeFileSync(join(directory, `${forged}.json`), sidecarOf(directory, forged))
      for (const name of [forged, `${forged}.json`]) chownSync(join(directory, name), UNMAPPED, UNMAPPED)
    }
    leavePartial(directory, `cpu-${DEAD_PID}-5.cpuprofile`)
    const { files, own } = { files: built('files/retention'), own: built('files/owners') }
    const [directoryOf, host] = ['process.argv[1]', 'process.argv[2]']
    const remove = (keep: number) => `${files}.deleteExpired(${directoryOf}, ${host}, { keep: ${keep} })`
    const deletedBy = (expression: string): unknown =>
      (inNamespace(expression, directory, HOST) as { deleted?: unknown }).deleted
    assert.deepEqual(deletedBy(remove(3)), [])
    assert.deepEqual(deletedBy(remove(2)), [join(directory, 'cpu-1-1.cpuprofile')])
    assert.deepEqual(deletedBy(`${files}.sweepStalePartials(${directoryOf}, ${host}, Date.now())`), [
      join(directory, `cpu-${DEAD_PID}-5.cpuprofile.partial`),
    ])
    // What is sent is read like this.
    const isRead = [3, 9].map(
      (ms) => `${own}.readOwn(${directoryOf} + '/cpu-1-${ms}.cpuprofile.json', 1e6) !== undefined`,
    )
    assert.deepEqual(inNamespace(`[${isRead.join()}]`, directory, HOST), [true, false])
  },
)
