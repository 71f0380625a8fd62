import assert from 'node:assert/strict'
import fs, {
  chmodSync,
  chownSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { after, test, type TestContext } from 'node:test'
import {
  claimReport,
  countRecentDumps,
  readHeapLimitDumps,
  readKeptDumps,
} from '../../../../../src/capture/heap/limit/earlier-dumps'

const open = fs.openSync
const HOUR_MS = 3_600_000
const now = 1_800_000_000_000

// The directory is read in pieces, with unref'd timers between them.
const hold = setInterval(() => undefined, 1000)
after(() => clearInterval(hold))

function scratch(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'heap-limit-dumps-'))
  t.after(() => rmSync(directory, { recursive: true }))
  return directory
}

interface Left {
  readonly startedAtMs?: number
  readonly host?: string
  readonly extension?: string
  readonly isPartial?: boolean
}

function leave(
  directory: string,
  { startedAtMs = now - 1000, host = 'here', extension = '.heapsnapshot', isPartial = false }: Left = {},
): string {
  const artefact = `heap-limit-memory-7-${startedAtMs}${extension}`
  const file = join(directory, artefact)
  const how = { way: 'fork', passedOver: [], pauseMs: 1, durationMs: 1, sizeBytes: 1 }
  const sidecar = {
    ...{ tool: 'cpu-memory-monitor', version: '0', artefact },
    why: { kind: 'memory', rule: 'heap-limit', details: {}, readings: [] },
    where: { host, directory, pid: 7, limits: { childDeadlineMs: 120_000 } },
    ...(isPartial ? {} : { how }),
  }
  writeFileSync(`${file}.json`, JSON.stringify(sidecar))
  writeFileSync(isPartial ? `${file}.partial` : file, 'x')
  return file
}

test('the dumps of this host are found, whatever became of their files, and no others', async (t) => {
  const directory = scratch(t)
  leave(directory)
  leave(directory, { extension: '.heapprofile' })
  leave(directory, { startedAtMs: now - 5000, isPartial: true })
  leave(directory, { startedAtMs: now - 3000, host: 'elsewhere' })
  const damaged = leave(directory, { startedAtMs: now - 4000 })
  const without = readFileSync(`${damaged}.json`, 'utf8').replace(/"limits":\{[^}]*\}/, '"limits":null')
  writeFileSync(`${damaged}.json`, without)
  writeFileSync(join(directory, `heap-limit-memory-9-${now}.heapsnapshot.json`), '{}')
  const dumps = await readHeapLimitDumps(directory, 'here', now, Infinity)
  assert.deepEqual(
    dumps.map(({ startedAtMs }) => startedAtMs),
    [now - 5000, now - 1000],
  )
  assert.deepEqual(await readHeapLimitDumps(join(directory, 'none'), 'here', now, Infinity), [])
})

test('a dump that is kept as a .partial is found by its missing .json, and none of another rule or user', async (t) => {
  const directory = scratch(t)
  const [kept, removed] = [7, 8].map((pid) =>
    join(directory, `heap-limit-memory-${pid}-1000-123456.heapsnapshot.partial`),
  ) as [string, string]
  writeFileSync(kept, 'x')
  writeFileSync(removed, 'x')
  leave(directory)
  leave(directory, { startedAtMs: now - 5000, isPartial: true })
  writeFileSync(join(directory, 'memory-7-1000-123456.heapsnapshot.partial'), 'x')
  symlinkSync(kept, join(directory, 'heap-limit-memory-7-2000-123456.heapsnapshot.partial'))
  if (process.geteuid?.() === 0) {
    const others = join(directory, 'heap-limit-memory-7-3000-123456.heapsnapshot.partial')
    writeFileSync(others, 'x')
    chownSync(others, 65534, 65534)
  }
  assert.deepEqual([...(await readKeptDumps(directory))].sort(), [kept, removed])
  // A file that gets its final name loses the `.partial` first, then the draft of its `.json`.
  const { lstatSync } = fs
  t.mock.method(fs, 'lstatSync', (...args: Parameters<typeof lstatSync>) => {
    if (String(args[0]).endsWith(`${basename(removed, '.partial')}.json`)) rmSync(removed, { force: true })
    return lstatSync(...args)
  })
  assert.deepEqual(await readKeptDumps(directory), [kept])
  assert.deepEqual(await readKeptDumps(join(directory, 'none')), [])
})

test('a dump has its whole files, the snapshot first, until they are reported', async (t) => {
  const directory = scratch(t)
  const files = [leave(directory), leave(directory, { extension: '.heapprofile' })]
  const [dump] = await readHeapLimitDumps(directory, 'here', now, Infinity)
  assert.deepEqual(
    dump?.unreported.map(({ file }) => file),
    files,
  )
  assert.equal(dump?.isBeingWritten, false)
  for (const file of files) assert.equal(claimReport(file, 1, now), true)
  const [reported] = await readHeapLimitDumps(directory, 'here', now, Infinity)
  assert.deepEqual(reported?.unreported, [])
})

test('a dump whose child may still work is not whole; one whose child must be dead is what it is', async (t) => {
  const directory = scratch(t)
  leave(directory, { extension: '.heapprofile' })
  leave(directory, { isPartial: true })
  const [dump] = await readHeapLimitDumps(directory, 'here', now, Infinity)
  assert.equal(dump?.isBeingWritten, true)
  const [later] = await readHeapLimitDumps(directory, 'here', now + HOUR_MS, Infinity)
  assert.deepEqual([later?.isBeingWritten, later?.unreported.length], [false, 1])
})

test('a dump counts without its artefact until the interval is over, then its sidecar goes', async (t) => {
  const directory = scratch(t)
  const gone = leave(directory, { startedAtMs: now - HOUR_MS })
  const kept = leave(directory, { startedAtMs: now - HOUR_MS, extension: '.heapprofile' })
  rmSync(gone)
  const look = async (nowMs: number): Promise<string[]> => {
    assert.equal((await readHeapLimitDumps(directory, 'here', nowMs, HOUR_MS)).length, 1)
    return readdirSync(directory).sort()
  }
  const all = [`${basename(kept)}`, `${basename(kept)}.json`, `${basename(gone)}.json`].sort()
  assert.deepEqual(await look(now - 1), all)
  assert.deepEqual(await look(now), [basename(kept), `${basename(kept)}.json`])
})

test('the sidecar of a dump that may be about to begin stays, however short the interval', async (t) => {
  const directory = scratch(t)
  const file = leave(directory)
  rmSync(file)
  await readHeapLimitDumps(directory, 'here', now, 1)
  assert.deepEqual(readdirSync(directory), [`${basename(file)}.json`])
})

test('a spent sidecar is deleted in the directory that was read, not in one that has taken its name', async (t) => {
  const above = scratch(t)
  const [directory, moved] = [join(above, 'dumps'), join(above, 'moved')]
  mkdirSync(directory)
  const name = basename(leave(directory, { startedAtMs: now - HOUR_MS }))
  rmSync(join(directory, name))
  const unlink = fs.unlinkSync.bind(fs)
  const mocked = t.mock.method(fs, 'unlinkSync', (path: string) => {
    fs.renameSync(directory, moved)
    mkdirSync(directory)
    writeFileSync(join(directory, `${name}.json`), 'of another')
    unlink(path)
  })
  await readHeapLimitDumps(directory, 'here', now, HOUR_MS)
  assert.equal(mocked.mock.callCount(), 1)
  assert.deepEqual([readdirSync(directory), readdirSync(moved)], [[`${name}.json`], []])
})

/** Where the claim of a sidecar is made, which depends on the sidecar's text. */
function claimOf(t: TestContext, file: string): string {
  let claim = ''
  const mocked = t.mock.method(fs, 'openSync', (path: string, ...rest: [number, number]) => {
    if (path.endsWith('.reported')) {
      claim = join(dirname(file), basename(path))
      throw new Error('not yet')
    }
    return open(path, ...rest)
  })
  assert.equal(claimReport(file, 1, Date.now()), false)
  mocked.mock.restore()
  assert.notEqual(claim, '')
  return claim
}

test('a sidecar is marked once, and stays a sidecar', (t) => {
  const directory = scratch(t)
  const file = leave(directory)
  assert.deepEqual([claimReport(file, 1, now), claimReport(file, 2, now)], [true, false])
  const sidecar = JSON.parse(readFileSync(`${file}.json`, 'utf8')) as {
    reported: { pid: number }
    how: object
  }
  assert.equal(sidecar.reported.pid, 1)
  assert.ok(sidecar.how)
  assert.equal(readdirSync(directory).length, 2)
})

test('nothing is marked while another process does, unless that process died long ago', (t) => {
  const directory = scratch(t)
  const file = leave(directory)
  const nowMs = Date.now()
  const claim = claimOf(t, file)
  writeFileSync(claim, '')
  assert.equal(claimReport(file, 1, nowMs), false)
  utimesSync(claim, nowMs / 1000 - 3600, nowMs / 1000 - 3600)
  assert.equal(claimReport(file, 1, nowMs), true)
})

test('a claim of a clock that was ahead is not for ever', (t) => {
  const file = leave(scratch(t))
  const claim = claimOf(t, file)
  writeFileSync(claim, '')
  utimesSync(claim, Date.now() / 1000 + 86_400, Date.now() / 1000 + 86_400)
  assert.equal(claimReport(file, 1, Date.now()), true)
})

test('names that are known to whoever sees the directory keep nothing from being marked', (t) => {
  const directory = scratch(t)
  const file = leave(directory)
  for (const name of ['.reported', '.0.reported', '.partial.reported']) mkdirSync(`${file}.json${name}`)
  assert.equal(claimReport(file, 1, Date.now()), true)
})

test("Node's own report of a fatal error is no dump", async (t) => {
  const directory = scratch(t)
  writeFileSync(join(directory, 'report.20261127.070000.7.0.001.json'), '{"header":{"trigger":"OOMError"}}')
  assert.deepEqual(await readHeapLimitDumps(directory, 'here', now, Infinity), [])
})

test('a directory that is not read to its end is named', async (t) => {
  const directory = scratch(t)
  if (process.geteuid?.() !== 0) return t.skip('only root can give files away')
  leave(directory)
  for (let n = 0; n < 5001; n++) {
    const path = join(directory, `memory-${n}-1000.heapsnapshot.json`)
    writeFileSync(path, '')
    chownSync(path, 65534, 65534)
  }
  const why: string[] = []
  await readHeapLimitDumps(directory, 'here', now, Infinity, (reason) => why.push(reason))
  assert.match(why.join(), /^it holds more than 5000 files of other users that are named like dumps$/)
})

test('a file of ours that all may write to, linked to by another name, is no sidecar', async (t) => {
  const directory = scratch(t)
  const file = leave(directory)
  chmodSync(`${file}.json`, 0o666)
  assert.equal((await readHeapLimitDumps(directory, 'here', now, Infinity)).length, 1)
  linkSync(`${file}.json`, join(directory, 'lock'))
  assert.deepEqual(await readHeapLimitDumps(directory, 'here', now, Infinity), [])
})

test('a symlink is followed nowhere', async (t) => {
  const directory = scratch(t)
  const file = leave(scratch(t))
  symlinkSync(`${file}.json`, join(directory, `heap-limit-memory-7-${now}.heapsnapshot.json`))
  assert.deepEqual(await readHeapLimitDumps(directory, 'here', now, Infinity), [])
})

test('dumps of the last interval count, those before it and those of the future do not', () => {
  const ages = [-365 * 24 * HOUR_MS, -1, 0, 1, HOUR_MS - 1, HOUR_MS, 2 * HOUR_MS]
  const dumps = ages.map((ageMs) => ({ startedAtMs: now - ageMs }))
  assert.equal(countRecentDumps(dumps, now, HOUR_MS), 3)
})
