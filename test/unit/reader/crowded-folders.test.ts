// A directory in which other users have created more names than memory should hold.
import assert from 'node:assert/strict'
import fs from 'node:fs'
import { basename, sep } from 'node:path'
import { test, type TestContext } from 'node:test'
import {
  findFiles,
  MOST_USERS,
  readFolder,
  unfinishedFiles,
  unfinishedHints,
} from '../../../src/reader/folder'
import { listIncidents } from '../../../src/reader/list'
import { scratch } from '../../harness/program'

const OWN = process.geteuid?.() ?? 0
const ANOTHER = 12_345
const NEWER = 1_900_000_000_000
const DUMPS = ['cpu-7-1000.cpuprofile', 'memory-7-2000.heapsnapshot', 'mine.cpuprofile']

/** Maximum number of files of one user that are listed here. */
const MOST = 2000
/** Number of names that others have created. */
const CROWD = 5 * MOST

test('lists the own dumps among names of others without end, and says how many it leaves out', (t) => {
  const directory = crowd(t, function* () {
    for (let index = 0; index < CROWD; index++) {
      yield [`cpu-8-${NEWER + index}.cpuprofile`, ANOTHER]
      const own = DUMPS[index - CROWD / 2]
      if (own !== undefined) yield [own, OWN]
    }
  })
  const { incidents, notes } = readFolder(directory, MOST)
  const names = new Set(incidents.flatMap(({ files }) => files.map((file) => basename(file))))
  assert.equal(names.size, MOST + DUMPS.length)
  for (const dump of DUMPS) assert.ok(names.has(dump), dump)
  const note = '8,000 files left out: of each user the newest 2,000 files are listed.'
  assert.deepEqual(notes, [note])
  // The usual share of a user is larger than this crowd.
  assert.deepEqual(listIncidents(optionsFor(directory), 0).notes, [])
})

test('of one user the newest are listed, and a time in the future makes no file newer', (t) => {
  const latest = Date.now() - 1000
  const directory = crowd(t, function* () {
    for (let index = 0; index < MOST; index++) yield [`cpu-7-${9_999_999_900_000 + index}.cpuprofile`, OWN]
    for (let index = 0; index < MOST; index++) yield [`cpu-7-${latest - index}.cpuprofile`, OWN]
  })
  const { files, leftOut } = findFiles(directory, () => true, MOST)
  assert.deepEqual([files.length, leftOut], [MOST, MOST])
  assert.ok(files.every(({ name }) => Number(/-(\d{5,})\./.exec(name)?.[1]) <= latest))
})

test('users beyond the first ones are left out, but never this one, root, or the owner of the directory', (t) => {
  const directory = crowd(t, function* () {
    for (let user = 1; user <= 5 * MOST_USERS; user++) yield [`a${user}.cpuprofile`, ANOTHER + user]
    yield ['own.cpuprofile', OWN]
    yield ['root.cpuprofile', 0]
  })
  const { files, leftOut } = findFiles(directory, () => true, MOST)
  assert.deepEqual([files.length, leftOut], [MOST_USERS + 2, 4 * MOST_USERS])
  assert.deepEqual(
    files.slice(-2).map(({ name }) => name),
    ['own.cpuprofile', 'root.cpuprofile'],
  )
})

test('as many files as there is room for are all listed, without a note, the files of one dump together', (t) => {
  const directory = crowd(t, function* () {
    for (let index = 0; index < MOST - 2; index++) yield [`cpu-7-${NEWER - index}.cpuprofile`, OWN]
    yield ['memory-7-1000.heapsnapshot', OWN]
    yield ['memory-7-1000.heapprofile', OWN]
    yield ['not-a-dump', OWN]
  })
  const { incidents, notes } = readFolder(directory, MOST)
  assert.deepEqual([incidents.length, notes], [MOST - 1, []])
  assert.deepEqual(incidents.at(-1)?.files.length, 2)
})

test('hints at the own unfinished files first, and counts those of others', (t) => {
  const directory = crowd(t, function* () {
    for (let index = 0; index < CROWD; index++) yield [`cpu-1-${1000 + index}.cpuprofile.partial`, ANOTHER]
    yield ['memory-7-2000.heapsnapshot.partial', OWN]
  })
  const hints = unfinishedHints(directory, MOST)
  assert.match(hints[0] ?? '', /^memory-7-2000\.heapsnapshot\.partial /)
  assert.deepEqual([hints.length, hints.at(-1)], [101, `and ${CROWD + 1 - 100} more`])
  assert.equal(unfinishedFiles(directory).length, CROWD + 1)
})

/** Has a directory look as if it held files of these names and owners, of which only the last one read is there at a time. */
function crowd(t: TestContext, entries: () => Generator<readonly [name: string, uid: number]>): string {
  const directory = scratch(t)
  const { lstatSync } = fs
  let owner = 0
  t.mock.method(fs, 'readdirSync', () => assert.fail('all names are read at once'))
  t.mock.method(fs, 'opendirSync', () => {
    const left = entries()
    return {
      readSync: () => {
        const { value } = left.next() as { value?: readonly [string, number] }
        owner = value?.[1] ?? 0
        return value === undefined ? null : { name: value[0] }
      },
      closeSync: () => undefined,
    }
  })
  // Not by t.mock, which keeps a record of each call.
  t.after(() => Object.assign(fs, { lstatSync }))
  const listed = { isFile: () => true, size: 1, mtimeMs: 3000 }
  Object.assign(fs, {
    lstatSync: (path: string, options: fs.StatSyncOptions) =>
      path.startsWith(directory + sep) && !path.endsWith('.json')
        ? { ...listed, uid: owner }
        : lstatSync(path, options),
  })
  return directory
}

function optionsFor(directory: string) {
  return { command: 'ls', directory, sinceMs: 0, sort: 'time', isJson: false } as const
}
