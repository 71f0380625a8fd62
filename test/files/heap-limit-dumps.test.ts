import assert from 'node:assert/strict'
import {
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { claimReport, countHeapLimitDumps, findUnreported } from '../../src/files/heap-limit-dumps'

const HOUR_MS = 3_600_000
const now = 1_800_000_000_000

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

test('dumps of this host in the interval are counted once each, whatever became of their files', (t) => {
  const directory = scratch(t)
  leave(directory)
  leave(directory, { extension: '.heapprofile' })
  leave(directory, { startedAtMs: now - 5000, isPartial: true })
  leave(directory, { startedAtMs: now - 2 * HOUR_MS })
  leave(directory, { startedAtMs: now - 3000, host: 'elsewhere' })
  writeFileSync(join(directory, `heap-limit-memory-9-${now}.heapsnapshot.json`), '{}')
  assert.equal(countHeapLimitDumps(directory, 'here', now - HOUR_MS), 2)
  assert.equal(countHeapLimitDumps(join(directory, 'none'), 'here', 0), 0)
})

test('a dump is found with its whole files, the snapshot first, until it is reported', (t) => {
  const directory = scratch(t)
  const files = [leave(directory), leave(directory, { extension: '.heapprofile' })]
  leave(directory, { startedAtMs: now - 3000, host: 'elsewhere' })
  const [dump, ...others] = findUnreported(directory, 'here', now)
  assert.deepEqual(others, [])
  assert.deepEqual(
    dump?.artefacts.map(({ file }) => file),
    files,
  )
  assert.equal(dump?.isBeingWritten, false)
  for (const file of files) assert.equal(claimReport(file, 1, now), true)
  assert.deepEqual(findUnreported(directory, 'here', now), [])
})

test('a dump whose child may still work is not whole; one whose child must be dead is what it is', (t) => {
  const directory = scratch(t)
  leave(directory, { extension: '.heapprofile' })
  leave(directory, { isPartial: true })
  assert.equal(findUnreported(directory, 'here', now)[0]?.isBeingWritten, true)
  const later = findUnreported(directory, 'here', now + HOUR_MS)[0]
  assert.deepEqual([later?.isBeingWritten, later?.artefacts.length], [false, 1])
})

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
  const claim = `${file}.json.reported`
  writeFileSync(claim, '')
  const nowMs = Date.now()
  assert.equal(claimReport(file, 1, nowMs), false)
  utimesSync(claim, nowMs / 1000 - 3600, nowMs / 1000 - 3600)
  assert.equal(claimReport(file, 1, nowMs), true)
})

test('a symlink is followed nowhere', (t) => {
  const directory = scratch(t)
  const file = leave(scratch(t))
  symlinkSync(`${file}.json`, join(directory, `heap-limit-memory-7-${now}.heapsnapshot.json`))
  assert.equal(countHeapLimitDumps(directory, 'here', 0), 0)
})
