import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import {
  chmodSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
} from 'node:fs'
import { rmSync, statSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { mock, test } from 'node:test'
import { openArtefact, publishArtefactSync } from '../../dist/files/open-artefact.js'
import { HOW, PROFILE, about, scratch, tmpfs } from './scratch'
import type { OpenArtefact } from '../../src/files/open-artefact'
import type { Operation, Steps } from '../../src/files/step'
import type { Artefact, Sidecar } from '../../src/files/artefact'

const NAME = 'cpu-7-1000.cpuprofile'
const NAMES = { partial: `${NAME}.partial`, sidecar: `${NAME}.json`, final: NAME }

/** One behaviour, two ways to publish: through the held descriptors, and by path as a forked child does. */
const WAYS: Readonly<Record<string, (artefact: OpenArtefact) => Promise<Artefact>>> = {
  'held open': (artefact) => artefact.publish(HOW),
  synchronously: async (artefact) => {
    try {
      return publishArtefactSync(artefact.partial, HOW)
    } finally {
      await artefact.abandon()
    }
  },
}

async function written(directory: string, content = PROFILE): Promise<OpenArtefact> {
  const artefact = await openArtefact(directory, NAME, about(directory))
  await artefact.write(content)
  return artefact
}

function mode(path: string): string {
  return (lstatSync(path).mode & 0o7777).toString(8)
}

for (const [way, publish] of Object.entries(WAYS)) {
  test(`${way}: all that a name promises is on the disk before it, and the name thereafter`, async (t) => {
    const directory = scratch(t)
    const artefact = await written(directory)
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
    const artefact = await written(directory)
    assert.deepEqual(await publish(artefact), { file: join(directory, NAME), sizeBytes: PROFILE.length })
    assert.deepEqual(readdirSync(directory).sort(), [NAMES.final, NAMES.sidecar])
    assert.equal(readFileSync(join(directory, NAME), 'utf8'), PROFILE)
    const sidecar = JSON.parse(readFileSync(join(directory, NAMES.sidecar), 'utf8')) as Sidecar
    const { version } = JSON.parse(readFileSync(join(__dirname, '../../package.json'), 'utf8')) as {
      version: string
    }
    assert.deepEqual(sidecar.how, { ...HOW, sizeBytes: PROFILE.length })
    assert.deepEqual([sidecar.tool, sidecar.version, sidecar.artefact], ['cpu-memory-monitor', version, NAME])
    assert.deepEqual(sidecar.why, about(directory).why)
    assert.equal(sidecar.where.directory, directory)
    for (const name of readdirSync(directory)) assert.equal(mode(join(directory, name)), '600')
    assert.equal(statSync(join(directory, NAME)).nlink, 1)
  })

  for (const [what, content] of [
    ['an empty file', ''],
    ['a file cut short', PROFILE.slice(0, -1)],
    ['a file cut short where a nested array ends', PROFILE.slice(0, PROFILE.indexOf('}}]') + 3)],
  ] as const) {
    test(`${way}: ${what} is refused, and nothing is left`, async (t) => {
      const directory = scratch(t)
      await assert.rejects(
        publish(await written(directory, content)),
        /cpu-7-1000\.cpuprofile\.partial is not whole/,
      )
      assert.deepEqual(readdirSync(directory), [])
    })
  }

  test(`${way}: a final name that was taken meanwhile is not overwritten`, async (t) => {
    const directory = scratch(t)
    const artefact = await written(directory)
    writeFileSync(join(directory, NAME), 'precious')
    await assert.rejects(publish(artefact), { code: 'EEXIST' })
    assert.deepEqual(readdirSync(directory), [NAME])
    assert.equal(readFileSync(join(directory, NAME), 'utf8'), 'precious')
  })

  test(`${way}: a symlink planted at the final name meanwhile is neither followed nor removed`, async (t) => {
    const directory = scratch(t)
    const artefact = await written(directory)
    symlinkSync('victim', join(directory, NAME))
    await assert.rejects(publish(artefact), { code: 'EEXIST' })
    assert.deepEqual(readdirSync(directory), [NAME])
  })

  for (const part of ['partial', 'sidecar'] as const) {
    test(`${way}: a symlink that replaced the ${part} is refused; its target and itself stay`, async (t) => {
      const directory = scratch(t)
      const artefact = await written(directory)
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
      const artefact = await written(directory)
      writeFileSync(join(directory, 'another'), PROFILE, { mode: 0o600 })
      renameSync(join(directory, 'another'), join(directory, NAMES[part]))
      await assert.rejects(publish(artefact), /no longer the file/)
      assert.deepEqual(readdirSync(directory), [NAMES[part]])
      assert.equal(readFileSync(join(directory, NAMES[part]), 'utf8'), PROFILE)
    })

    test(`${way}: a ${part} laid open to others is refused`, async (t) => {
      const directory = scratch(t)
      const artefact = await written(directory)
      chmodSync(join(directory, NAMES[part]), 0o644)
      await assert.rejects(publish(artefact), /changed from 0600 to 0644/)
      assert.deepEqual(readdirSync(directory), [])
    })

    test(`${way}: a ${part} that somebody removed is missed, not made up`, async (t) => {
      const directory = scratch(t)
      const artefact = await written(directory)
      unlinkSync(join(directory, NAMES[part]))
      await assert.rejects(publish(artefact), { code: 'ENOENT' })
      assert.deepEqual(readdirSync(directory), [])
    })
  }

  test(`${way}: a directory that vanished is an error, and is not created again`, async (t) => {
    const directory = join(scratch(t), 'inner')
    mkdirSync(directory)
    const artefact = await written(directory)
    rmSync(directory, { recursive: true })
    await assert.rejects(publish(artefact), { code: 'ENOENT' })
    assert.equal(existsSync(directory), false)
  })

  test(`${way}: a disk without room for the sidecar leaves nothing under the final name`, async (t) => {
    const disk = tmpfs(t, 256 * 1024)
    if (disk === undefined) return
    const artefact = await written(disk.path)
    fillUp(disk.path)
    const details = { text: 'x'.repeat(64 * 1024) }
    const wordy = { ...artefact.partial, draft: { ...artefact.partial.draft, details } }
    const published =
      way === 'held open'
        ? artefact.publish({ ...HOW, notes: details })
        : Promise.resolve().then(() => publishArtefactSync(wordy, HOW))
    await assert.rejects(published, { code: 'ENOSPC' })
    assert.deepEqual(readdirSync(disk.path), ['filler'])
    await artefact.abandon()
  })

  test(`${way}: a disk that became read-only is an error, and nothing bears the final name`, async (t) => {
    const disk = tmpfs(t, 256 * 1024)
    if (disk === undefined) return
    const artefact = await written(disk.path)
    const makeWritable = disk.coverReadOnly()
    await assert.rejects(publish(artefact), { code: 'EROFS' })
    // They could not be removed either: the sidecar is there for the sweep to know them by.
    assert.deepEqual(readdirSync(disk.path).sort(), [NAMES.sidecar, NAMES.partial])
    makeWritable()
    await artefact.abandon()
  })

  for (const code of ['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'EMLINK']) {
    test(`${way}: without hard links (${code}) the file is renamed, and still overwrites nothing`, async (t) => {
      const directory = scratch(t)
      mock.method(fs, way === 'held open' ? 'link' : 'linkSync', failing(code))
      t.after(() => mock.restoreAll())
      assert.equal((await publish(await written(directory))).sizeBytes, PROFILE.length)
      assert.deepEqual(readdirSync(directory).sort(), [NAMES.final, NAMES.sidecar])

      rmSync(join(directory, NAMES.sidecar))
      unlinkSync(join(directory, NAME))
      const artefact = await written(directory)
      symlinkSync('victim', join(directory, NAME))
      await assert.rejects(publish(artefact), { code: 'EEXIST' })
      assert.deepEqual(readdirSync(directory), [NAME])
    })
  }

  test(
    `${way}: no descriptor is left open, published or refused`,
    { skip: !existsSync('/proc/self/fd') },
    async (t) => {
      const directory = scratch(t)
      await publish(await written(directory))
      const before = readdirSync('/proc/self/fd').length
      rmSync(join(directory, NAME))
      rmSync(join(directory, NAMES.sidecar))
      await publish(await written(directory))
      await assert.rejects(openArtefact(directory, NAME, about(directory)))
      rmSync(join(directory, NAME))
      rmSync(join(directory, NAMES.sidecar))
      await assert.rejects(publish(await written(directory, '{')))
      assert.equal(readdirSync('/proc/self/fd').length, before)
    },
  )
}

for (const umask of [0o000, 0o077, 0o777]) {
  test(`under umask ${umask.toString(8)} the mode is 0600 exactly`, async (t) => {
    const directory = scratch(t)
    const previous = process.umask(umask)
    t.after(() => process.umask(previous))
    const artefact = await written(directory)
    assert.equal(mode(artefact.partialPath), '600')
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
    test(`${what} at the ${part}'s name: opening is refused, it stays, nothing is left beside it`, async (t) => {
      const directory = scratch(t)
      writeFileSync(join(directory, 'victim'), 'precious')
      plant(join(directory, NAMES[part]))
      const inode = lstatSync(join(directory, NAMES[part])).ino
      await assert.rejects(openArtefact(directory, NAME, about(directory)), { code: 'EEXIST' })
      assert.deepEqual(readdirSync(directory).sort(), [NAMES[part], 'victim'].sort())
      assert.equal(lstatSync(join(directory, NAMES[part])).ino, inode)
      assert.equal(readFileSync(join(directory, 'victim'), 'utf8'), 'precious')
    })
  }
}

for (const fileName of ['precious.txt', '../cpu-1-1.cpuprofile', NAMES.partial, NAMES.sidecar]) {
  test(`${fileName} is not the name of an artefact`, async (t) => {
    const directory = scratch(t)
    await assert.rejects(openArtefact(directory, fileName, about(directory)), RangeError)
    assert.deepEqual(readdirSync(directory), [])
  })
}

test('while it is open there is a partial, and a sidecar that says whose it is', async (t) => {
  const directory = scratch(t)
  const artefact = await openArtefact(directory, NAME, about(directory))
  assert.deepEqual(readdirSync(directory).sort(), [NAMES.sidecar, NAMES.partial])
  const draft = JSON.parse(readFileSync(join(directory, NAMES.sidecar), 'utf8')) as Sidecar
  assert.deepEqual([draft.tool, draft.artefact, draft.how], ['cpu-memory-monitor', NAME, undefined])
  assert.deepEqual(draft.where.host, about(directory).where.host)
  await artefact.abandon()
})

test('a sidecar that became shorter has nothing of the draft at its end', async (t) => {
  const directory = scratch(t)
  const { why, where } = about(directory)
  const wordy = { ...why, details: { words: 'x'.repeat(5000) } }
  const artefact = await openArtefact(directory, NAME, { why: wordy, where })
  await artefact.write(PROFILE)
  publishArtefactSync({ ...artefact.partial, draft: { ...artefact.partial.draft, why } }, HOW)
  await artefact.abandon()
  const sidecar = JSON.parse(readFileSync(join(directory, NAMES.sidecar), 'utf8')) as Sidecar
  assert.deepEqual(sidecar.why, why)
})

test('abandoning removes both files, twice is as once, and afterwards nothing is taken', async (t) => {
  const directory = scratch(t)
  const artefact = await written(directory)
  await Promise.all([artefact.abandon(), artefact.abandon()])
  await artefact.abandon()
  assert.deepEqual(readdirSync(directory), [])
  await assert.rejects(artefact.write('more'), /closed/)
  await assert.rejects(artefact.publish(HOW), /closed/)
})

test('abandoning in a directory that vanished is silent', async (t) => {
  const directory = join(scratch(t), 'inner')
  mkdirSync(directory)
  const artefact = await written(directory)
  rmSync(directory, { recursive: true })
  await artefact.abandon()
})

test('abandoning during a publish waits for it, and leaves what it published', async (t) => {
  const directory = scratch(t)
  const artefact = await written(directory)
  const published = artefact.publish(HOW)
  await new Promise((resolve) => setImmediate(resolve))
  await artefact.abandon()
  await published
  assert.deepEqual(readdirSync(directory).sort(), [NAMES.final, NAMES.sidecar])
})

test('a second publish is refused and takes nothing away', async (t) => {
  const directory = scratch(t)
  const artefact = await written(directory)
  await artefact.publish(HOW)
  await assert.rejects(artefact.publish(HOW), /closed/)
  assert.deepEqual(readdirSync(directory).sort(), [NAMES.final, NAMES.sidecar])
})

test('a child that died between link and unlink left two names of one whole file: the final one and its sidecar stay', async (t) => {
  const directory = scratch(t)
  const artefact = await written(directory)
  linkSync(artefact.partialPath, join(directory, NAME))
  await artefact.abandon()
  assert.deepEqual(readdirSync(directory).sort(), [NAMES.final, NAMES.sidecar])
})

test('chunks keep the order of the calls, awaited or not, text and bytes', async (t) => {
  const directory = scratch(t)
  const artefact = await openArtefact(directory, NAME, about(directory))
  const letters = [...PROFILE]
  await Promise.all(
    letters.map((letter, index) => artefact.write(index % 2 === 0 ? letter : Buffer.from(letter))),
  )
  await artefact.publish(HOW)
  assert.equal(readFileSync(join(directory, NAME), 'utf8'), PROFILE)
})

test('a disk that takes three bytes at a time gets the whole chunk all the same', async (t) => {
  const directory = scratch(t)
  const write = fs.write
  let calls = 0
  mock.method(
    fs,
    'write',
    (fd: number, bytes: Buffer, offset: number, length: number, ...rest: unknown[]) => {
      calls += 1
      Reflect.apply(write, fs, [fd, bytes, offset, Math.min(3, length), ...rest])
    },
  )
  t.after(() => mock.restoreAll())
  await (await written(directory)).publish(HOW)
  assert.ok(calls > PROFILE.length / 3)
  assert.equal(readFileSync(join(directory, NAME), 'utf8'), PROFILE)
})

test('a full disk: the write says so, publishing is refused for the same reason, nothing is left', async (t) => {
  const disk = tmpfs(t, 256 * 1024)
  if (disk === undefined) return
  const artefact = await openArtefact(disk.path, NAME, about(disk.path))
  await assert.rejects(artefact.write(Buffer.alloc(512 * 1024)), { code: 'ENOSPC' })
  await assert.rejects(artefact.write(PROFILE), { code: 'ENOSPC' })
  await assert.rejects(artefact.publish(HOW), { code: 'ENOSPC' })
  assert.deepEqual(readdirSync(disk.path), [])
})

test('a full disk refuses to open, and nothing is left', async (t) => {
  const disk = tmpfs(t, 64 * 1024)
  if (disk === undefined) return
  fillUp(disk.path)
  await assert.rejects(openArtefact(disk.path, NAME, about(disk.path)), { code: 'ENOSPC' })
  assert.deepEqual(readdirSync(disk.path), ['filler'])
})

test('a writer that reports success on a full disk and leaves an empty file is found out', async (t) => {
  const disk = tmpfs(t, 64 * 1024)
  if (disk === undefined) return
  const artefact = await openArtefact(disk.path, NAME, about(disk.path))
  writeFileSync(artefact.partialPath, '')
  await assert.rejects(artefact.publish(HOW), /is not whole: it is empty/)
  assert.deepEqual(readdirSync(disk.path), [])
})

test('a read-only disk refuses to open', async (t) => {
  const disk = tmpfs(t, 64 * 1024)
  if (disk === undefined) return
  disk.makeReadOnly()
  await assert.rejects(openArtefact(disk.path, NAME, about(disk.path)), { code: 'EROFS' })
})

test('a snapshot that V8 wrote by path is published in one turn from plain data; one cut short is not', (t) => {
  const directory = scratch(t)
  const program = join(__dirname, '../fixtures/files/publish-sync.js')
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
  assert.match(start('memory-1-2.heapsnapshot', join(directory, 'short')).error ?? '', /is not whole/)
  assert.deepEqual(readdirSync(directory).sort(), [
    'memory-1-1.heapsnapshot',
    'memory-1-1.heapsnapshot.json',
    'short',
  ])
})

/** Writing and publishing as one story, as a capture that a process may leave in the middle tells it. */
async function story(directory: string): Promise<Steps<Artefact>> {
  const artefact = await openArtefact(directory, NAME, about(directory))
  return (function* () {
    for (const half of [PROFILE.slice(0, 9), PROFILE.slice(9)]) yield* artefact.writing(half)
    return yield* artefact.publishing(HOW)
  })()
}

/** Tells a story without an event loop and calls `meanwhile` with each operation and its number, before it is done. */
function tell<T>(steps: Steps<T>, meanwhile: (operation: Operation<unknown>, number: number) => void): T {
  let [step, number] = [steps.next(), 0]
  while (step.done !== true) {
    let result: unknown
    meanwhile(step.value, number++)
    try {
      result = step.value.sync()
    } catch (error) {
      step = steps.throw(error)
      continue
    }
    step = steps.next(result)
  }
  return step.value
}

function again(operation: Operation<unknown> | undefined): void {
  try {
    operation?.sync()
  } catch {
    // What it did the other time counts.
  }
}

for (const [links, code] of [
  ['hard links', undefined],
  ['no hard links', 'EPERM'],
] as const) {
  for (const order of ['before', 'long after'] as const) {
    test(`with ${links}: whichever operation the thread pool does too, ${order} the exiting process does it, the file is whole`, async (t) => {
      if (code) mock.method(fs, 'linkSync', failing(code))
      t.after(() => mock.restoreAll())
      let operations = 1
      for (let doubled = 0; doubled < operations; doubled++) {
        const directory = scratch(t)
        let late: Operation<unknown> | undefined
        operations = 0
        const { sizeBytes } = tell(await story(directory), (operation, number) => {
          operations++
          if (number !== doubled) return
          if (order === 'before') again(operation)
          else late = operation
        })
        again(late)
        assert.equal(sizeBytes, PROFILE.length)
        assert.deepEqual(readdirSync(directory).sort(), [NAMES.final, NAMES.sidecar])
        assert.equal(readFileSync(join(directory, NAME), 'utf8'), PROFILE)
        const sidecar = JSON.parse(readFileSync(join(directory, NAMES.sidecar), 'utf8')) as Sidecar
        assert.deepEqual(sidecar.how, { ...HOW, sizeBytes: PROFILE.length })
      }
      assert.ok(operations > 10)
    })
  }
}

for (const amid of ['publish', 'abandon']) {
  test(`an exit amid ${amid} leaves the files alone that the application opens then`, (t) => {
    if (process.platform === 'win32') {
      t.skip('no FIFO')
      return
    }
    const directory = scratch(t)
    const program = join(__dirname, '../fixtures/files/exit-amid.js')
    const theirs = execFileSync(
      process.execPath,
      [program, directory, PROFILE, JSON.stringify(about(directory)), amid],
      { env: { ...process.env, UV_THREADPOOL_SIZE: '1' }, encoding: 'utf8', timeout: 60_000 },
    )
    assert.deepEqual(JSON.parse(theirs), [true, true, true])
    const left = readdirSync(directory).filter((name) => name.startsWith(NAME))
    assert.deepEqual(left.sort(), amid === 'publish' ? [NAMES.final, NAMES.sidecar] : [])
  })
}

test('without an exit no descriptor stays open', { skip: process.platform !== 'linux' }, async (t) => {
  const directory = scratch(t)
  const open = () =>
    readdirSync('/proc/self/fd').filter((fd) => linkOf(`/proc/self/fd/${fd}`).startsWith(directory))
  const artefact = await written(directory)
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

function failing(code: string): (...call: unknown[]) => void {
  return (...call) => {
    const error = Object.assign(new Error(`${code}: by order of the test`), { code })
    const done = call.at(-1)
    if (typeof done !== 'function') throw error
    process.nextTick(done, error)
  }
}
