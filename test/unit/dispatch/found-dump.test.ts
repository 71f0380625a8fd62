import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { claimReport } from '../../../src/capture/heap/limit/earlier-dumps'
import { type FoundDump, reportFoundDump } from '../../../src/dispatch/found-dump'

const how = { way: 'fork', passedOver: [], pauseMs: 1, durationMs: 2, sizeBytes: 3 }

/** A dump of two files in a directory of its own. */
function found(t: TestContext): { dump: FoundDump; files: [string, string] } {
  const directory = mkdtempSync(join(tmpdir(), 'found-dump-'))
  t.after(() => rmSync(directory, { recursive: true, force: true }))
  const leave = (extension: string): string => {
    const artefact = `heap-limit-memory-7-1800000000000${extension}`
    const sidecar = {
      ...{ tool: 'cpu-memory-monitor', version: '0', artefact, how },
      why: { kind: 'memory', rule: 'heap-limit', details: {}, readings: [] },
      where: { host: 'here', directory, pid: 7, limits: { childDeadlineMs: 120_000 } },
    }
    const file = join(directory, artefact)
    writeFileSync(file, 'x')
    writeFileSync(`${file}.json`, JSON.stringify(sidecar))
    return file
  }
  const files: [string, string] = [leave('.heapsnapshot'), leave('.heapprofile')]
  return { dump: { artefacts: files.map((file) => ({ file, how })), isEarlier: true }, files }
}

function reports(dump: FoundDump): (readonly string[])[] {
  const all: (readonly string[])[] = []
  reportFoundDump(dump, process.pid, { dump: ({ files }) => void all.push(files) })
  return all
}

test('a found dump is reported with all its files, once', (t) => {
  const { dump, files } = found(t)
  assert.deepEqual(reports(dump), [files])
  assert.deepEqual(reports(dump), [])
})

test('a dump that another process is just claiming, file by file, is left to it', (t) => {
  const { dump, files } = found(t)
  assert.ok(claimReport(files[0], process.pid, Date.now()))
  assert.deepEqual(reports(dump), [])
})
