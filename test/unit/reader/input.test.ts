import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import {
  closeSync,
  constants,
  mkdtempSync,
  openSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { openInput, openRegular, parseWithin, readProfile, readRegular } from '../../../src/reader/input'
import { createLocator } from '../../../src/reader/source-maps'

const noProc = process.platform === 'linux' ? false : 'there is no /proc'

function scratch(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'regular-'))
  t.after(() => rmSync(directory, { recursive: true }))
  return directory
}

test('a regular file is read whole', (t) => {
  const path = join(scratch(t), 'file')
  writeFileSync(path, 'x'.repeat(100_000))
  assert.equal(readRegular(path, 100_000).toString(), 'x'.repeat(100_000))
  assert.throws(() => readRegular(path, 99_999), /is too large: 100.0 kB/)
})

test('what is read is the file that was looked at, or nothing', (t) => {
  const directory = scratch(t)
  const [path, other] = [join(directory, 'a.cpuprofile'), join(directory, 'other')]
  writeFileSync(path, '{"a":1}')
  const input = openInput(path)
  assert.deepEqual(readProfile(input), { a: 1 })
  writeFileSync(other, '{"b":1}')
  renameSync(other, path)
  assert.throws(() => readProfile(input), /was replaced by another file while it was read/)
})

for (const [path, why] of [
  ['/proc/self/pagemap', /is empty/],
  ['/proc/self/mem', /is empty/],
  ['/dev/zero', /is not a regular file/],
  ['/tmp', /is not a regular file/],
] as const) {
  test(`${path} is not read`, { skip: noProc }, () => assert.throws(() => openRegular(path), why))
}

test('JSON is parsed where its lists and objects hold as much as a file of its size may, and refused for more', () => {
  const items = Buffer.from(JSON.stringify({ samples: new Array<number>(1001).fill(1) }))
  const properties = Buffer.from(
    JSON.stringify(Object.fromEntries(Array.from({ length: 1001 }, (_, index) => [`a${index}`, 1]))),
  )
  assert.throws(() => parseWithin(items, 40 * 999), /is too large: its lists have more than 999 items/)
  assert.throws(() => parseWithin(properties, 16 * 999), /its objects have more than 999 properties/)
  assert.deepEqual(parseWithin(items, 40 * 1001), JSON.parse(items.toString()))
  assert.deepEqual(parseWithin(properties, 16 * 1001), JSON.parse(properties.toString()))
})

/** A file, a FIFO, and a link to the file that leads to the FIFO once `flip` is called. */
function flipping(t: TestContext) {
  const directory = scratch(t)
  const [link, next, file, fifo] = ['link', 'next', 'file', 'fifo'].map((name) => join(directory, name)) as [
    string,
    string,
    string,
    string,
  ]
  writeFileSync(file, '{}')
  execFileSync('mkfifo', [fifo])
  // With a writer, so that a mistake shows as another error, and not as a test that never ends.
  const writer = openSync(fifo, constants.O_RDWR)
  t.after(() => closeSync(writer))
  symlinkSync(file, link)
  symlinkSync(fifo, next)
  return { link, file, fifo, flip: () => fs.existsSync(next) && renameSync(next, link) }
}

const O_PATH = 0o10000000

for (const isBefore of [true, false])
  test(
    `a link that leads elsewhere ${isBefore ? 'before' : 'after'} the first look opens no FIFO`,
    { skip: noProc },
    (t) => {
      const { link, flip } = flipping(t)
      const { openSync: open } = fs
      const opened: string[] = []
      t.mock.method(fs, 'openSync', (path: string, flags: number, ...more: never[]) => {
        if (isBefore) flip()
        const fd = open(path, flags, ...more)
        if ((flags & O_PATH) === 0) opened.push(fs.readlinkSync(`/proc/self/fd/${fd}`))
        flip()
        return fd
      })
      if (isBefore) assert.throws(() => readRegular(link, 100), /is not a regular file/)
      else assert.equal(readRegular(link, 100).toString(), '{}')
      assert.deepEqual(
        opened.map((path) => basename(path)),
        isBefore ? [] : ['file'],
      )
    },
  )

test('an error of a file that may not be opened names the file', { skip: noProc }, (t) => {
  const { file } = flipping(t)
  const { openSync: open } = fs
  t.mock.method(fs, 'openSync', (path: string, flags: number) => {
    if (path.startsWith('/proc/')) throw new Error(`EACCES: permission denied, open '${path}'`)
    return open(path, flags)
  })
  assert.throws(() => openRegular(file), { message: `EACCES: permission denied, open '${file}'` })
})

test('without /proc a FIFO that took the place of a file is not waited at', { skip: noProc }, (t) => {
  const { link, flip } = flipping(t)
  const { statSync } = fs
  t.mock.method(fs, 'accessSync', () => {
    throw Object.assign(new Error('ENOENT'), { code: 'ENOENT' })
  })
  assert.equal(readRegular(link, 100).toString(), '{}')
  t.mock.method(fs, 'statSync', (...args: Parameters<typeof statSync>) => {
    const found = statSync(...args)
    flip()
    return found
  })
  const opened = t.mock.method(fs, 'openSync')
  assert.throws(() => openInput(link), /is not a regular file/)
  assert.ok((Number(opened.mock.calls[0]?.arguments[1]) & constants.O_NONBLOCK) !== 0)
})

test('a dump that names a file of /proc as code has nothing read from there', { skip: noProc }, () => {
  const place = { name: 'work', file: '/proc/self/pagemap', line: 1, column: 1 }
  const locator = createLocator(undefined)
  locator.learn([place])
  assert.deepEqual([locator.locate(place), locator.notes()], [place, []])
})
