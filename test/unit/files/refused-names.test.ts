// Names that a file system refuses with ENOSPC although it has space, as ext4 does when another user has filled a directory's index.
import assert from 'node:assert/strict'
import fs, { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { claimReport, readKeptDumps } from '../../../src/capture/heap/limit/earlier-dumps'
import { type OpenArtefact, openArtefact, reopenArtefact } from '../../../src/files/artefact'
import { whyNotWritable } from '../../../src/files/directory'
import { sweepStalePartials } from '../../../src/files/retention'
import { openScratch } from '../../../src/files/scratch'
import type { Sidecar } from '../../../src/files/sidecar'
import { about, HOW, PROFILE, scratch } from './scratch'

const NAME = 'heap-limit-memory-7-1000.heapprofile'

/** Publishes a complete file in a forked child, whose parent then tidies up. */
const inChild = ({ partial }: OpenArtefact): Promise<unknown> =>
  Promise.resolve().then(() => reopenArtefact(partial).publishNow(HOW, PROFILE.length))

for (const [way, publish] of [
  ['awaited', (artefact: OpenArtefact) => artefact.publish(HOW)],
  ['in a child', inChild],
] as const) {
  const failureOf = async (artefact: OpenArtefact): Promise<string> => {
    const error = await publish(artefact).then(() => assert.fail('published'), String)
    artefact.abandon()
    return error
  }

  test(`${way}: a complete file gets the first name that is not refused, and its sidecar too`, async (t) => {
    const directory = scratch(t)
    const artefact = written(directory)
    const free = artefact.partial.otherNames[6] ?? ''
    refuse(t, (name) => !name.startsWith(free))
    await publish(artefact)
    artefact.abandon()
    assert.deepEqual(readdirSync(directory).sort(), [free, `${free}.json`].sort())
    assert.equal(readFileSync(join(directory, free), 'utf8'), PROFILE)
    const sidecar = JSON.parse(readFileSync(join(directory, `${free}.json`), 'utf8')) as Sidecar
    assert.equal(sidecar.artefact, free)
  })

  test(`${way}: a complete file without a final name is kept as a .partial under the first name not refused`, async (t) => {
    const directory = scratch(t)
    // Its own name has a number already.
    writeFileSync(join(directory, NAME), 'theirs')
    const artefact = written(directory)
    let tried = 0
    refuse(t, (name) => !name.endsWith('.partial') || ++tried < 20)
    const [, kept = ''] = /complete, .*ENOSPC.* kept as (\S+\.partial)$/.exec(await failureOf(artefact)) ?? []
    assert.deepEqual(readdirSync(directory).sort(), [NAME, kept].sort())
    assert.notEqual(kept, `${artefact.partial.fileName}.partial`)
    assert.equal(readFileSync(join(directory, kept), 'utf8'), PROFILE)
    assert.deepEqual(await readKeptDumps(directory), [join(directory, kept)])
  })

  test(`${way}: where each name is refused, the complete file stays as the .partial that it is, and is found`, async (t) => {
    const directory = scratch(t)
    const artefact = written(directory)
    const attempts = refuse(t, () => true)
    const kept = `${NAME}.partial`
    const failure = await failureOf(artefact)
    assert.ok(
      failure.endsWith(
        `has no room for any of its names (ENOSPC; the disk may have space left), so it is kept as ${kept}`,
      ),
      failure,
    )
    assert.ok(attempts() < 200, `${attempts()} attempts`)
    assert.deepEqual(readdirSync(directory), [kept])
    assert.equal(readFileSync(join(directory, kept), 'utf8'), PROFILE)
    const { host } = about(directory).where
    assert.deepEqual((await sweepStalePartials(directory, host, Date.now())).deleted, [])
    assert.deepEqual(await readKeptDumps(directory), [join(directory, kept)])
    if (process.getuid?.() !== 0) return
    // Another user takes the name of the `.json`, which has become free.
    writeFileSync(join(directory, `${NAME}.json`), '')
    fs.chownSync(join(directory, `${NAME}.json`), 65_534, 65_534)
    assert.deepEqual(await readKeptDumps(directory), [join(directory, kept)])
  })

  test(`${way}: a disk that is full when the sidecar is written is no refused name: nothing is left`, async (t) => {
    const directory = scratch(t)
    const artefact = written(directory)
    const attempts = refuse(t, () => true)
    t.mock.method(fs, 'writeSync', () => {
      throw outOfSpace('write')
    })
    assert.match(await failureOf(artefact), /ENOSPC/)
    assert.deepEqual(readdirSync(directory), [])
    assert.equal(attempts(), 0)
  })
}

test('an unfinished file is removed, whether names are refused or not', (t) => {
  const directory = scratch(t)
  const artefact = openArtefact(directory, NAME, about(directory))
  refuse(t, () => true)
  artefact.write('{"nodes"')
  artefact.abandon()
  assert.deepEqual(readdirSync(directory), [])
})

test('a file is created under the first name that is not refused, and has as many other names as one under the first', (t) => {
  const directory = scratch(t)
  const usual = openArtefact(directory, NAME, about(directory))
  usual.abandon()
  let tried = 0
  refuse(t, () => ++tried < 20)
  const artefact = openArtefact(directory, NAME, about(directory))
  const { fileName, otherNames } = artefact.partial
  assert.notEqual(fileName, NAME)
  assert.equal(otherNames.length, usual.partial.otherNames.length)
  assert.deepEqual(readdirSync(directory).sort(), [`${fileName}.json`, `${fileName}.partial`])
  artefact.abandon()
  assert.deepEqual(readdirSync(directory), [])
})

test('where each name is refused, that is the error, after a bounded number of attempts, and nothing is left', (t) => {
  const directory = scratch(t)
  const attempts = refuse(t, () => true)
  assert.throws(() => openArtefact(directory, NAME, about(directory)), { code: 'ENOSPC' })
  assert.throws(() => openScratch(directory), { code: 'ENOSPC' })
  assert.match(whyNotWritable(directory) ?? '', /^ENOSPC/)
  assert.ok(attempts() < 200, `${attempts()} attempts`)
  assert.deepEqual(readdirSync(directory), [])
})

test('a temporary file, and the test whether a directory can be written to, get another name as well', (t) => {
  const directory = scratch(t)
  let tried = 0
  refuse(t, () => ++tried % 5 !== 0)
  openScratch(directory).close()
  assert.equal(whyNotWritable(directory), undefined)
  assert.equal(tried, 10)
})

test('a dump at the heap limit is reported, once, although the first names of the claim are refused', async (t) => {
  const directory = scratch(t)
  const file = join(directory, (await written(directory).publish(HOW)).file.slice(directory.length))
  let tried = 0
  refuse(t, () => ++tried < 5)
  assert.deepEqual([claimReport(file, 7, Date.now()), claimReport(file, 8, Date.now())], [true, false])
  assert.equal(tried, 5)
})

function written(directory: string): OpenArtefact {
  const artefact = openArtefact(directory, NAME, about(directory))
  artefact.write(PROFILE)
  return artefact
}

/** Has new names refused for want of space. @returns How often a name was asked for and refused. */
function refuse(t: TestContext, isRefused: (name: string) => boolean): () => number {
  let refused = 0
  const expectSpace = (path: unknown, syscall: string): void => {
    if (!isRefused(basename(String(path)))) return
    refused += 1
    throw outOfSpace(syscall)
  }
  const { linkSync, openSync, renameSync } = fs
  t.mock.method(fs, 'linkSync', (from: string, to: string) => {
    expectSpace(to, 'link')
    linkSync(from, to)
  })
  t.mock.method(fs, 'renameSync', (from: string, to: string) => {
    // A name that replaces another needs no space.
    if (!fs.existsSync(to)) expectSpace(to, 'rename')
    renameSync(from, to)
  })
  t.mock.method(fs, 'openSync', (path: string, flags: number, mode?: number) => {
    if ((flags & fs.constants.O_CREAT) !== 0) expectSpace(path, 'open')
    return openSync(path, flags, mode)
  })
  return () => refused
}

function outOfSpace(syscall: string): Error {
  return Object.assign(new Error(`ENOSPC: no space left on device, ${syscall}`), { code: 'ENOSPC', syscall })
}
