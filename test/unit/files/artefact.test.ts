import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import {
  chmodSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
} from 'node:fs'
import { rmSync, statSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { mock, test } from 'node:test'
import type { OpenArtefact } from '../../../src/files/artefact'
import { openArtefact, reopenArtefact } from '../../../src/files/artefact.js'
import { whyNotWritable } from '../../../src/files/directory'
import { openDirectory } from '../../../src/files/disk.js'
import { findPublished } from '../../../src/files/final-name.js'
import type { Artefact, Sidecar } from '../../../src/files/sidecar'
import { about, HOW, PROFILE, scratch, tmpfs } from './scratch'

const open = fs.openSync
const NAME = 'cpu-7-1000.cpuprofile'
const NAMES = { partial: `${NAME}.partial`, sidecar: `${NAME}.json`, final: NAME }

/** One behaviour, three ways to publish: awaited, at an exit, and opened anew in a forked child. */
const WAYS: Readonly<Record<string, (artefact: OpenArtefact) => Promise<Artefact>>> = {
  awaited: (artefact) => artefact.publish(HOW),
  'at exit': (artefact) => Promise.resolve(artefact).then(() => withoutAwaiting(artefact, artefact)),
  'in a child': (artefact) =>
    Promise.resolve(artefact)
      .then(({ partial }) => {
        const inChild = reopenArtefact(partial)
        // A child writes through the file that it opened; here the content is there already.
        return withoutAwaiting(artefact, inChild, statSync(artefact.target.file).size)
      })
      .finally(() => artefact.abandon()),
}

function withoutAwaiting(created: OpenArtefact, held: OpenArtefact, sizeBytes?: number): Artefact {
  try {
    return held.publishNow(HOW, sizeBytes)
  } finally {
    // Which an exit, or the end of the child, does.
    held.abandon()
    created.abandon()
  }
}

function written(directory: string, content = PROFILE): OpenArtefact {
  const artefact = openArtefact(directory, NAME, about(directory))
  artefact.write(content)
  return artefact
}

function mode(path: string): string {
  return (lstatSync(path).mode & 0o7777).toString(8)
}

for (const [way, publish] of Object.entries(WAYS)) {
  test(`${way}: all that a name promises is on the disk before it, and the name thereafter`, async (t) => {
    const directory = scratch(t)
    const artefact = written(directory)
    const log: string[] = []
    const nameOf = (fd: unknown) => fs.readlinkSync(`/proc/self/fd/${fd as number}`).replace(directory, '')
    for (const call of ['fsync', 'fsyncSync', 'link', 'linkSync'] as const) {
      const original = fs[call] as (...args: unknown[]) => unknown
      t.mock.method(fs, call, (...args: unknown[]) => {
        log.push(call.startsWith('fsync') ? `synced ${nameOf(args[0])}` : 'named')
        return original(...args)
      })
    }
    await publish(artefact)
    const [whole, told] = [`synced /${NAMES.partial}`, `synced /${NAMES.sidecar}`]
    assert.deepEqual(log, [whole, told, 'named', 'synced '])
  })

  test(`${way}: a whole file gets its final name and a complete sidecar, and nothing else is left`, async (t) => {
    const directory = scratch(t)
    const artefact = written(directory)
    assert.deepEqual(await publish(artefact), { file: join(directory, NAME), sizeBytes: PROFILE.length })
    assert.deepEqual(readdirSync(directory).sort(), [NAMES.final, NAMES.sidecar])
    assert.equal(readFileSync(join(directory, NAME), 'utf8'), PROFILE)
    const sidecar = JSON.parse(readFileSync(join(directory, NAMES.sidecar), 'utf8')) as Sidecar
    const { version } = JSON.parse(readFileSync(join(__dirname, '../../../package.json'), 'utf8')) as {
      version: string
    }
    assert.deepEqual(sidecar.how, { ...HOW, sizeBytes: PROFILE.length })
    assert.deepEqual([sidecar.tool, sidecar.version, sidecar.artefact], ['cpu-memory-monitor', version, NAME])
    assert.deepEqual(sidecar.why, about(directory).why)
    assert.equal(sidecar.where.directory, directory)
    for (const name of readdirSync(directory)) assert.equal(mode(join(directory, name)), '600')
    assert.equal(statSync(join(directory, NAME)).nlink, 1)
  })

  test(`${way}: an empty file is refused, and nothing is left`, async (t) => {
    const directory = scratch(t)
    await assert.rejects(
      publish(written(directory, '')),
      /cpu-7-1000\.cpuprofile\.partial is incomplete and is deleted: it is empty/,
    )
    assert.deepEqual(readdirSync(directory), [])
  })

  for (const [what, plant] of [
    ['a file', (path: string) => writeFileSync(path, 'precious')],
    ['a dangling symlink', (path: string) => symlinkSync('nowhere', path)],
  ] as const) {
    test(`${way}: ${what} that took the final name meanwhile stays, and the artefact gets the next that is free`, async (t) => {
      const directory = scratch(t)
      const artefact = written(directory)
      const taken = [NAME, 'cpu-7-1000-2.cpuprofile']
      for (const name of taken) plant(join(directory, name))
      const inodes = taken.map((name) => lstatSync(join(directory, name)).ino)
      const free = 'cpu-7-1000-3.cpuprofile'
      const { file } = await publish(artefact)
      assert.equal(file, join(directory, free))
      assert.equal(readFileSync(file, 'utf8'), PROFILE)
      assert.deepEqual(readdirSync(directory).sort(), [...taken, free, `${free}.json`].sort())
      assert.deepEqual(
        taken.map((name) => lstatSync(join(directory, name)).ino),
        inodes,
      )
      const sidecar = JSON.parse(readFileSync(`${file}.json`, 'utf8')) as Sidecar
      assert.deepEqual([sidecar.artefact, sidecar.how.sizeBytes], [free, PROFILE.length])
      assert.deepEqual(findPublished(artefact.partial), { file, sizeBytes: PROFILE.length })
    })
  }

  test(`${way}: names that a neighbour has guessed, all that can be guessed, do not suppress the artefact`, async (t) => {
    const directory = scratch(t)
    const artefact = written(directory)
    for (let number = 1; number < 500; number++)
      writeFileSync(join(directory, number === 1 ? NAME : `cpu-7-1000-${number}.cpuprofile`), '')
    const { file } = await publish(artefact)
    assert.match(file, /cpu-7-1000-\d+\.cpuprofile$/)
    assert.equal(readFileSync(file, 'utf8'), PROFILE)
  })

  test(`${way}: when each of its names is taken, the whole file stays under one that says so`, async (t) => {
    const directory = scratch(t)
    const artefact = written(directory)
    const taken = [NAME, ...artefact.partial.otherNames]
    for (const name of taken) writeFileSync(join(directory, name), 'theirs')
    const error = await publish(artefact).then(
      () => assert.fail('published'),
      (reason: unknown) => reason as Error,
    )
    const [, kept = ''] =
      /complete, .* kept as (cpu-7-1000-\d+\.cpuprofile\.partial)$/.exec(error.message) ?? []
    assert.equal(readFileSync(join(directory, kept), 'utf8'), PROFILE)
    assert.deepEqual(readdirSync(directory).sort(), [...taken, kept].sort())
  })

  test(`${way}: an artefact's name that is taken as its sidecar's appears: the next, and the draft's names until then`, async (t) => {
    const directory = scratch(t)
    const artefact = written(directory)
    writeFileSync(join(directory, NAME), 'theirs')
    const link = fs.linkSync.bind(fs)
    const seen: boolean[] = []
    t.mock.method(fs, 'linkSync', (from: string, to: string) => {
      link(from, to)
      if (!to.endsWith('.json')) return
      seen.push(existsSync(join(directory, NAMES.sidecar)) && existsSync(join(directory, NAMES.partial)))
      if (seen.length <= 3) writeFileSync(to.slice(0, -'.json'.length), 'theirs', { flag: 'wx' })
    })
    const { file } = await publish(artefact)
    assert.deepEqual(seen, [true, true, true, true])
    assert.equal(readFileSync(file, 'utf8'), PROFILE)
    assert.equal((JSON.parse(readFileSync(`${file}.json`, 'utf8')) as Sidecar).artefact, basename(file))
    assert.equal(readdirSync(directory).length, 6)
  })

  for (const [what, stranger] of [
    ["a sidecar's name", 'cpu-7-1000-2.cpuprofile.json'],
    ["an artefact's name", 'cpu-7-1000-2.cpuprofile'],
  ] as const) {
    test(`${way}: ${what} that was taken beside the other name stays, and the artefact gets one with a sidecar`, async (t) => {
      const directory = scratch(t)
      const artefact = written(directory)
      writeFileSync(join(directory, NAME), 'precious')
      writeFileSync(join(directory, stranger), 'theirs')
      const { file } = await publish(artefact)
      assert.equal(readFileSync(file, 'utf8'), PROFILE)
      assert.equal(file, join(directory, 'cpu-7-1000-3.cpuprofile'))
      assert.equal((JSON.parse(readFileSync(`${file}.json`, 'utf8')) as Sidecar).artefact, basename(file))
      assert.equal(readFileSync(join(directory, stranger), 'utf8'), 'theirs')
      assert.equal(readdirSync(directory).length, 4)
    })
  }

  for (const part of ['partial', 'sidecar'] as const) {
    test(`${way}: a symlink that replaced the ${part} is refused; its target and itself stay`, async (t) => {
      const directory = scratch(t)
      const artefact = written(directory)
      const planted = join(directory, NAMES[part])
      writeFileSync(join(directory, 'victim'), PROFILE)
      unlinkSync(planted)
      symlinkSync('victim', planted)
      await assert.rejects(publish(artefact), /no longer the file|ELOOP/)
      assert.deepEqual(readdirSync(directory).sort(), [NAMES[part], 'victim'].sort())
      assert.equal(readFileSync(join(directory, 'victim'), 'utf8'), PROFILE)
    })

    test(`${way}: another file in the place of the ${part} is refused and stays`, async (t) => {
      const directory = scratch(t)
      const artefact = written(directory)
      writeFileSync(join(directory, 'another'), PROFILE, { mode: 0o600 })
      renameSync(join(directory, 'another'), join(directory, NAMES[part]))
      await assert.rejects(publish(artefact), /no longer the file/)
      assert.deepEqual(readdirSync(directory), [NAMES[part]])
      assert.equal(readFileSync(join(directory, NAMES[part]), 'utf8'), PROFILE)
    })

    test(`${way}: a ${part} laid open to others is refused`, async (t) => {
      const directory = scratch(t)
      const artefact = written(directory)
      chmodSync(join(directory, NAMES[part]), 0o644)
      await assert.rejects(publish(artefact), /changed from 0600 to 0644/)
      assert.deepEqual(readdirSync(directory), [])
    })

    test(`${way}: a ${part} that somebody removed is missed, not made up`, async (t) => {
      const directory = scratch(t)
      const artefact = written(directory)
      unlinkSync(join(directory, NAMES[part]))
      await assert.rejects(publish(artefact), { code: 'ENOENT' })
      assert.deepEqual(readdirSync(directory), [])
    })
  }

  test(`${way}: a directory that vanished is an error, and is not created again`, async (t) => {
    const directory = join(scratch(t), 'inner')
    mkdirSync(directory)
    const artefact = written(directory)
    rmSync(directory, { recursive: true })
    await assert.rejects(publish(artefact), { code: 'ENOENT' })
    assert.equal(existsSync(directory), false)
  })

  test(`${way}: a disk without room for the sidecar leaves nothing under the final name`, async (t) => {
    const disk = tmpfs(t, 256 * 1024)
    if (disk === undefined) return
    const artefact = written(disk.path)
    fillUp(disk.path)
    const details = { text: 'x'.repeat(64 * 1024) }
    const how = { ...HOW, notes: details }
    const published =
      way === 'awaited'
        ? artefact.publish(how)
        : Promise.resolve().then(() => reopenArtefact(artefact.partial).publishNow(how, PROFILE.length))
    await assert.rejects(published, { code: 'ENOSPC' })
    assert.deepEqual(readdirSync(disk.path), ['filler'])
    artefact.abandon()
  })

  test(`${way}: a disk that became read-only is an error, and nothing bears the final name`, async (t) => {
    const disk = tmpfs(t, 256 * 1024)
    if (disk === undefined) return
    const artefact = written(disk.path)
    const makeWritable = disk.coverReadOnly()
    await assert.rejects(publish(artefact), { code: 'EROFS' })
    // They could not be removed either: the sidecar is there for the sweep to know them by.
    assert.deepEqual(readdirSync(disk.path).sort(), [NAMES.sidecar, NAMES.partial])
    makeWritable()
    artefact.abandon()
  })

  for (const code of ['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'EMLINK', 'ENOSPC', 'EDQUOT']) {
    test(`${way}: without hard links (${code}) the file is renamed, and still overwrites nothing`, async (t) => {
      const directory = scratch(t)
      mock.method(fs, 'linkSync', failing(code))
      t.after(() => mock.restoreAll())
      assert.equal((await publish(written(directory))).sizeBytes, PROFILE.length)
      assert.deepEqual(readdirSync(directory).sort(), [NAMES.final, NAMES.sidecar])

      rmSync(join(directory, NAMES.sidecar))
      unlinkSync(join(directory, NAME))
      const artefact = written(directory)
      symlinkSync('victim', join(directory, NAME))
      assert.equal((await publish(artefact)).file, join(directory, 'cpu-7-1000-2.cpuprofile'))
      assert.equal(lstatSync(join(directory, NAME)).isSymbolicLink(), true)
    })
  }

  test(`${way}: a disk with no inode left for a link keeps the whole file`, async (t) => {
    const disk = tmpfs(t, 256 * 1024, 3)
    if (disk === undefined) return
    await publish(written(disk.path))
    assert.deepEqual(readdirSync(disk.path).sort(), [NAMES.final, NAMES.sidecar])
  })

  test(
    `${way}: no descriptor is left open, published or refused`,
    { skip: !existsSync('/proc/self/fd') },
    async (t) => {
      const directory = scratch(t)
      await publish(written(directory))
      const before = readdirSync('/proc/self/fd').length
      rmSync(join(directory, NAME))
      rmSync(join(directory, NAMES.sidecar))
      await assert.rejects(publish(written(directory, '')))
      assert.throws(() => openArtefact(join(directory, 'missing'), NAME, about(directory)))
      assert.equal(readdirSync('/proc/self/fd').length, before)
    },
  )
}

for (const umask of [0o000, 0o077, 0o777]) {
  test(`under umask ${umask.toString(8)} the mode is 0600 exactly`, async (t) => {
    const directory = scratch(t)
    const previous = process.umask(umask)
    t.after(() => process.umask(previous))
    const artefact = written(directory)
    assert.equal(mode(artefact.target.file), '600')
    assert.equal(mode(join(directory, NAMES.sidecar)), '600')
    await artefact.publish(HOW)
    assert.equal(mode(join(directory, NAME)), '600')
  })
}

for (const part of ['partial', 'sidecar', 'final'] as const) {
  for (const [what, plant] of [
    ['a file', (path: string) => writeFileSync(path, 'precious')],
    ['a dangling symlink', (path: string) => symlinkSync('nowhere', path)],
    ['a symlink to a file', (path: string) => symlinkSync('victim', path)],
    ['a directory', (path: string) => mkdirSync(path)],
  ] as const) {
    test(`${what} at the ${part}'s name: it stays, and the artefact gets another name`, async (t) => {
      const directory = scratch(t)
      writeFileSync(join(directory, 'victim'), 'precious')
      plant(join(directory, NAMES[part]))
      const inode = lstatSync(join(directory, NAMES[part])).ino
      const artefact = openArtefact(directory, NAME, about(directory))
      artefact.write(PROFILE)
      const { file } = await artefact.publish(HOW)
      const other = 'cpu-7-1000-2.cpuprofile'
      assert.equal(file, join(directory, other))
      assert.deepEqual(readdirSync(directory).sort(), [NAMES[part], 'victim', other, `${other}.json`].sort())
      assert.equal(lstatSync(join(directory, NAMES[part])).ino, inode)
      assert.equal(readFileSync(join(directory, 'victim'), 'utf8'), 'precious')
    })
  }
}

for (const fileName of ['precious.txt', '../cpu-1-1.cpuprofile', NAMES.partial, NAMES.sidecar]) {
  test(`${fileName} is not the name of an artefact`, (t) => {
    const directory = scratch(t)
    assert.throws(() => openArtefact(directory, fileName, about(directory)), RangeError)
    assert.deepEqual(readdirSync(directory), [])
  })
}

test('while it is open there is a partial, and a sidecar that says whose it is', (t) => {
  const directory = scratch(t)
  const artefact = openArtefact(directory, NAME, about(directory))
  assert.deepEqual(readdirSync(directory).sort(), [NAMES.sidecar, NAMES.partial])
  const draft = JSON.parse(readFileSync(join(directory, NAMES.sidecar), 'utf8')) as Sidecar
  assert.deepEqual([draft.tool, draft.artefact, draft.how], ['cpu-memory-monitor', NAME, undefined])
  assert.deepEqual(draft.where.host, about(directory).where.host)
  artefact.abandon()
})

test('a sidecar that became shorter has nothing of the draft at its end', (t) => {
  const directory = scratch(t)
  const { why, where } = about(directory)
  const wordy = { ...why, details: { words: 'x'.repeat(5000) } }
  const artefact = openArtefact(directory, NAME, { why: wordy, where })
  artefact.write(PROFILE)
  const shorter = { ...artefact.partial, draft: { ...artefact.partial.draft, why } }
  reopenArtefact(shorter).publishNow(HOW, PROFILE.length)
  artefact.abandon()
  const sidecar = JSON.parse(readFileSync(join(directory, NAMES.sidecar), 'utf8')) as Sidecar
  assert.deepEqual(sidecar.why, why)
})

test('a file of another size than what was written is not whole', async (t) => {
  const directory = scratch(t)
  const artefact = written(directory)
  fs.truncateSync(artefact.target.file, PROFILE.length - 1)
  const expected = new RegExp(`incomplete .*: it has ${PROFILE.length - 1} of ${PROFILE.length} bytes`)
  await assert.rejects(artefact.publish(HOW), expected)
  assert.deepEqual(readdirSync(directory), [])
  const byAnother = openArtefact(directory, NAME, about(directory))
  writeFileSync(byAnother.target.file, PROFILE)
  await assert.rejects(byAnother.publish(HOW, PROFILE.length + 1), /is incomplete/)
  assert.deepEqual(readdirSync(directory), [])
})

test('abandoning removes both files, twice is as once, and afterwards nothing is taken', async (t) => {
  const directory = scratch(t)
  const artefact = written(directory)
  artefact.abandon()
  artefact.abandon()
  assert.deepEqual(readdirSync(directory), [])
  assert.throws(() => artefact.write('more'), /closed/)
  await assert.rejects(artefact.publish(HOW), /closed/)
})

test('abandoning in a directory that vanished is silent', (t) => {
  const directory = join(scratch(t), 'inner')
  mkdirSync(directory)
  const artefact = written(directory)
  rmSync(directory, { recursive: true })
  artefact.abandon()
})

test('a second publish is refused and takes nothing away', async (t) => {
  const directory = scratch(t)
  const artefact = written(directory)
  await artefact.publish(HOW)
  await assert.rejects(artefact.publish(HOW), /closed/)
  assert.deepEqual(readdirSync(directory).sort(), [NAMES.final, NAMES.sidecar])
})

test('a child that died between link and unlink left two names of one whole file: the final one and its sidecar stay', (t) => {
  const directory = scratch(t)
  const artefact = written(directory)
  linkSync(artefact.target.file, join(directory, NAME))
  artefact.abandon()
  assert.deepEqual(readdirSync(directory).sort(), [NAMES.final, NAMES.sidecar])
})

test('a disk that takes three bytes at a time gets the whole chunk all the same', async (t) => {
  const directory = scratch(t)
  const write = fs.writeSync
  let calls = 0
  mock.method(
    fs,
    'writeSync',
    (fd: number, bytes: Buffer, offset: number, length: number, ...rest: unknown[]) => {
      calls += 1
      return Reflect.apply(write, fs, [fd, bytes, offset, Math.min(3, length), ...rest]) as number
    },
  )
  t.after(() => mock.restoreAll())
  const artefact = openArtefact(directory, NAME, about(directory))
  for (const letter of PROFILE) artefact.write(letter.repeat(4))
  await artefact.publish(HOW)
  assert.ok(calls > 2 * PROFILE.length)
  assert.equal(
    readFileSync(join(directory, NAME), 'utf8'),
    [...PROFILE].map((each) => each.repeat(4)).join(''),
  )
})

test('a full disk: the write says so, publishing is refused for the same reason, nothing is left', async (t) => {
  const disk = tmpfs(t, 256 * 1024)
  if (disk === undefined) return
  const artefact = openArtefact(disk.path, NAME, about(disk.path))
  assert.throws(() => artefact.write(Buffer.alloc(512 * 1024)), { code: 'ENOSPC' })
  assert.throws(() => artefact.write(PROFILE), { code: 'ENOSPC' })
  await assert.rejects(artefact.publish(HOW), { code: 'ENOSPC' })
  assert.deepEqual(readdirSync(disk.path), [])
})

test('a full disk refuses to open, and nothing is left', (t) => {
  const disk = tmpfs(t, 64 * 1024)
  if (disk === undefined) return
  fillUp(disk.path)
  assert.throws(() => openArtefact(disk.path, NAME, about(disk.path)), { code: 'ENOSPC' })
  assert.deepEqual(readdirSync(disk.path), ['filler'])
})

test('a writer that reports success on a full disk and leaves an empty file is found out', async (t) => {
  const disk = tmpfs(t, 64 * 1024)
  if (disk === undefined) return
  const artefact = openArtefact(disk.path, NAME, about(disk.path))
  writeFileSync(artefact.target.file, '')
  await assert.rejects(artefact.publish(HOW), /is incomplete and is deleted: it is empty/)
  assert.deepEqual(readdirSync(disk.path), [])
})

test('a read-only disk refuses to open', (t) => {
  const disk = tmpfs(t, 64 * 1024)
  if (disk === undefined) return
  disk.makeReadOnly()
  assert.throws(() => openArtefact(disk.path, NAME, about(disk.path)), { code: 'EROFS' })
})

test('a snapshot that V8 wrote by path is published in one turn from plain data; one cut short is not', (t) => {
  const directory = scratch(t)
  const program = join(__dirname, 'programs/publish-sync.js')
  const start = (name: string, ...instead: string[]): { file?: string; sizeBytes?: number; error?: string } =>
    JSON.parse(
      execFileSync(
        process.execPath,
        [program, directory, name, JSON.stringify(about(directory)), ...instead],
        {
          encoding: 'utf8',
        },
      ),
    ) as object
  const whole = start('memory-1-1.heapsnapshot')
  const file = join(directory, 'memory-1-1.heapsnapshot')
  assert.deepEqual(whole, { file, sizeBytes: statSync(file).size })
  assert.equal(mode(file), '600')
  assert.doesNotThrow(() => JSON.parse(readFileSync(file, 'utf8')) as unknown)

  writeFileSync(join(directory, 'short'), readFileSync(file).subarray(0, -1))
  assert.match(start('memory-1-2.heapsnapshot', join(directory, 'short')).error ?? '', /is incomplete/)
  assert.deepEqual(readdirSync(directory).sort(), [
    'memory-1-1.heapsnapshot',
    'memory-1-1.heapsnapshot.json',
    'short',
  ])
})

test('an exit amid a publish finishes it, and leaves the files alone that the application opens then', (t) => {
  if (process.platform === 'win32') return t.skip('no FIFO')
  const directory = scratch(t)
  const program = join(__dirname, 'programs/exit-amid.js')
  const theirs = execFileSync(
    process.execPath,
    [program, directory, PROFILE, JSON.stringify(about(directory))],
    { env: { ...process.env, UV_THREADPOOL_SIZE: '1' }, encoding: 'utf8', timeout: 60_000 },
  )
  assert.deepEqual(JSON.parse(theirs), [true, true, true])
  const left = readdirSync(directory).filter((name) => name.startsWith(NAME))
  assert.deepEqual(left.sort(), [NAMES.final, NAMES.sidecar])
})

test('an exit after the name was given, and before the rest, has the same artefact', async (t) => {
  const directory = scratch(t)
  const artefact = written(directory)
  const link = fs.linkSync
  let atExit: Artefact | undefined
  mock.method(fs, 'openSync', (...args: unknown[]) => {
    // The directory is opened for its fsync: the name is there.
    if (args[0] === directory && !atExit) atExit = artefact.publishNow(HOW)
    return Reflect.apply(open, fs, args) as number
  })
  t.after(() => mock.restoreAll())
  assert.equal(fs.linkSync, link)
  assert.deepEqual(await artefact.publish(HOW), atExit)
  assert.deepEqual(readdirSync(directory).sort(), [NAMES.final, NAMES.sidecar])
})

test('the path for a writer leads to the file that was created, whatever its name leads to', (t) => {
  if (!existsSync('/proc/self/fd')) return t.skip('no /proc')
  const directory = scratch(t)
  const artefact = openArtefact(directory, NAME, about(directory))
  writeFileSync(join(directory, 'victim'), 'precious')
  linkSync(artefact.target.file, join(directory, 'ours'))
  unlinkSync(artefact.target.file)
  symlinkSync('victim', artefact.target.file)
  writeFileSync(artefact.writePath, PROFILE)
  assert.equal(readFileSync(join(directory, 'ours'), 'utf8'), PROFILE)
  assert.equal(readFileSync(join(directory, 'victim'), 'utf8'), 'precious')
  artefact.abandon()
})

test('without /proc the path for a writer is the name', (t) => {
  const directory = scratch(t)
  const artefact = openArtefact(directory, NAME, about(directory))
  mock.method(fs, 'statSync', failing('ENOENT'))
  t.after(() => mock.restoreAll())
  assert.equal(artefact.writePath, artefact.target.file)
  artefact.abandon()
})

test('without /proc the name is no path for a writer where another user can make it lead elsewhere', (t) => {
  if (process.geteuid === undefined) return t.skip('no users')
  const directory = scratch(t)
  const artefact = openArtefact(directory, NAME, about(directory))
  chmodSync(directory, 0o777)
  mock.method(fs, 'statSync', failing('ENOENT'))
  t.after(() => mock.restoreAll())
  assert.throws(
    () => artefact.writePath,
    /is not written: \/proc\/self\/fd cannot be used, and .* could redirect the write, because .* writable for all/,
  )
  artefact.abandon()
})

test('nothing is created where a link of another user leads', (t) => {
  if (process.getuid?.() !== 0) return t.skip('only root can give a link away')
  const [parent, elsewhere] = [scratch(t), scratch(t)]
  const directory = join(parent, 'dumps')
  symlinkSync(elsewhere, directory)
  fs.lchownSync(directory, 65534, 65534)
  assert.throws(() => openArtefact(directory, NAME, about(directory)), /is a symbolic link of another user/)
  assert.deepEqual(readdirSync(elsewhere), [])
})

test('a directory that is exchanged as the artefact is named: it gets its name in the one that was opened', async (t) => {
  if (process.platform !== 'linux') return t.skip('directories are held through /proc')
  const [parent, elsewhere] = [scratch(t), scratch(t)]
  const [directory, aside] = [join(parent, 'dumps'), join(parent, 'aside')]
  mkdirSync(directory)
  const artefact = written(directory)
  const link = fs.linkSync.bind(fs)
  const mocked = t.mock.method(fs, 'linkSync', (...args: Parameters<typeof link>) => {
    renameSync(directory, aside)
    for (const name of readdirSync(aside)) writeFileSync(join(elsewhere, name), 'precious')
    symlinkSync(elsewhere, directory)
    link(...args)
  })
  await artefact.publish(HOW)
  assert.equal(mocked.mock.callCount(), 1)
  assert.deepEqual(readdirSync(aside).sort(), [NAMES.final, NAMES.sidecar])
  assert.deepEqual(readdirSync(elsewhere).sort(), [NAMES.sidecar, NAMES.partial])
})

test('nothing is created while the process acts for another user, who could read it', (t) => {
  if (process.getuid?.() !== 0) return t.skip('only root can act for another user')
  const directory = scratch(t)
  chmodSync(directory, 0o777)
  process.seteuid?.(65534)
  try {
    assert.throws(
      () => openArtefact(directory, NAME, about(directory)),
      /acts for another user: effective uid 65534, real uid 0/,
    )
    assert.match(whyNotWritable(join(directory, 'dumps')) ?? '', /acts for another user/)
  } finally {
    process.seteuid?.(0)
  }
  assert.deepEqual(readdirSync(directory), [])
})

test('a FIFO in the place of the directory is not opened', { skip: process.platform !== 'linux' }, (t) => {
  const fifo = join(scratch(t), 'fifo')
  execFileSync('mkfifo', [fifo])
  // With a writer, so that a mistake shows as a descriptor, and not as a test that never ends.
  const writer = fs.openSync(fifo, fs.constants.O_RDWR)
  t.after(() => fs.closeSync(writer))
  assert.throws(() => openDirectory(fifo), { code: 'ENOTDIR' })
})

test('without an exit no descriptor stays open', { skip: process.platform !== 'linux' }, async (t) => {
  const directory = scratch(t)
  const open = () =>
    readdirSync('/proc/self/fd').filter((fd) => linkOf(`/proc/self/fd/${fd}`).startsWith(directory))
  const artefact = written(directory)
  assert.equal(open().length, 2)
  await artefact.publish(HOW)
  assert.deepEqual(open(), [])
})

function linkOf(path: string): string {
  try {
    return fs.readlinkSync(path)
  } catch {
    return ''
  }
}

function fillUp(directory: string): void {
  const fd = fs.openSync(join(directory, 'filler'), 'w')
  try {
    for (;;) fs.writeSync(fd, Buffer.alloc(4096))
  } catch {
    // Full now.
  } finally {
    fs.closeSync(fd)
  }
}

function failing(code: string): () => never {
  return () => {
    throw Object.assign(new Error(`${code}: by order of the test`), { code })
  }
}
