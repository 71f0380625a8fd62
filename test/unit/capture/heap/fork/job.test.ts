import assert from 'node:assert/strict'
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, it, mock } from 'node:test'
import v8 from 'node:v8'
import { type ChildReport, writeDumpInChild } from '../../../../../src/capture/heap/fork/job'
import type { HeapSampler } from '../../../../../src/capture/heap/sampler'
import { openArtefact } from '../../../../../src/files/artefact'
import type { Sidecar } from '../../../../../src/files/sidecar'
import { HEAP_PROFILE, jobIn, SNAPSHOT } from '../../scripted-main-thread'

const PASSED_OVER = [{ way: 'heapdump', why: 'not installed' }]

/** Without a fork: what the child does is synchronous and works anywhere. The fork itself is tried in test/e2e/monitor. */
describe('the job of a forked child', () => {
  let directory = ''
  const order: string[] = []
  let snapshot = (file: string): void => writeFileSync(file, SNAPSHOT)
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'cmm-job-'))
    order.length = 0
    snapshot = (file) => writeFileSync(file, SNAPSHOT)
    mock.method(v8, 'writeHeapSnapshot', (file: string) => {
      order.push('snapshot')
      snapshot(file)
      return file
    })
  })
  afterEach(() => {
    mock.restoreAll()
    rmSync(directory, { recursive: true, force: true })
  })

  const samplerThatRead = (samples: number): HeapSampler => ({
    start: () => 'ours',
    read: () => {
      order.push('profile')
      return { samples, json: samples > 0 ? JSON.stringify(HEAP_PROFILE) : '' }
    },
    profile: () => undefined,
    state: () => (samples > 0 ? 'ours' : 'stopped'),
    run: () => 1,
    stop: () => {},
  })
  const run = (sampler = samplerThatRead(3), withProfile = true): ChildReport => {
    const { sidecar } = jobIn(directory, 'memory')
    const open = (extension: string) => openArtefact(directory, `memory-1-1.${extension}`, sidecar)
    const opened = [open('heapsnapshot'), ...(withProfile ? [open('heapprofile')] : [])] as const
    const [forSnapshot, forProfile] = opened.map(({ partial }) => partial)
    assert.ok(forSnapshot)
    const files = { snapshot: forSnapshot, ...(forProfile && { profile: forProfile }) }
    const job = { ...files, passedOver: PASSED_OVER, pausedBeforeMs: 2.5 }
    const report = writeDumpInChild(job, sampler, () => 10)
    // The application may be gone: nothing is left for it to clean up.
    assert.deepEqual(
      readdirSync(directory).filter((name) => name.endsWith('.partial')),
      [],
    )
    for (const each of opened) each.abandon()
    return JSON.parse(report) as ChildReport
  }
  const how = (extension: string): Sidecar['how'] =>
    (JSON.parse(readFileSync(join(directory, `memory-1-1.${extension}.json`), 'utf8')) as Sidecar).how

  it('publishes the profile first, then the snapshot, and tells how', () => {
    const report = run()
    assert.deepEqual(order, ['profile', 'snapshot'])
    assert.deepEqual(report.snapshot, { sizeBytes: SNAPSHOT.length })
    assert.ok(report.profile && 'sizeBytes' in report.profile)
    assert.equal(report.sampler, 'ours')
    assert.ok(Number(report.peakBytes) > 1e6)
    assert.deepEqual([how('heapsnapshot').way, how('heapprofile').way], ['fork', 'sampling'])
    assert.deepEqual([how('heapsnapshot').passedOver, how('heapsnapshot').pauseMs], [PASSED_OVER, 12.5])
    assert.equal(how('heapprofile').notes?.['inForkedChild'], true)
    assert.equal(statSync(join(directory, 'memory-1-1.heapsnapshot')).mode & 0o777, 0o600)
    assert.equal(readdirSync(directory).length, 4)
  })

  it('does not try a profile without a file for it', () => {
    const report = run(samplerThatRead(3), false)
    assert.deepEqual(order, ['snapshot'])
    assert.deepEqual([report.profile, report.sampler], [undefined, undefined])
  })

  it('has the snapshot alone when nothing was sampled, and says that the sampler was stopped', () => {
    const report = run(samplerThatRead(0))
    assert.ok(report.profile && 'failed' in report.profile)
    assert.match(report.profile.failed, /no samples/)
    assert.equal(report.sampler, 'stopped')
    assert.ok('sizeBytes' in report.snapshot)
    assert.ok(!existsSync(join(directory, 'memory-1-1.heapprofile')))
  })

  it('keeps the profile when the snapshot fails, and cuts the reason to what the pipe takes', () => {
    snapshot = () => {
      throw new Error('ENOSPC'.padEnd(10_000, '!'))
    }
    const report = run()
    assert.ok('failed' in report.snapshot && report.snapshot.failed.startsWith('ENOSPC'))
    assert.ok(JSON.stringify(report).length < 4096)
    assert.deepEqual(readdirSync(directory).sort(), ['memory-1-1.heapprofile', 'memory-1-1.heapprofile.json'])
  })

  it('has V8 write into the file that was created, whatever its name leads to by then', () => {
    const victim = join(directory, 'victim')
    writeFileSync(victim, 'precious')
    snapshot = (file) => {
      const partial = join(directory, 'memory-1-1.heapsnapshot.partial')
      unlinkSync(partial)
      symlinkSync(victim, partial)
      writeFileSync(file, SNAPSHOT)
    }
    const { sidecar } = jobIn(directory, 'memory')
    const open = openArtefact(directory, 'memory-1-1.heapsnapshot', sidecar)
    const job = { snapshot: open.partial, passedOver: [], pausedBeforeMs: 0 }
    const report = JSON.parse(writeDumpInChild(job, samplerThatRead(0), () => 10)) as ChildReport
    open.abandon()
    assert.ok('failed' in report.snapshot)
    assert.equal(readFileSync(victim, 'utf8'), 'precious')
    assert.deepEqual(readdirSync(directory).sort(), ['memory-1-1.heapsnapshot.partial', 'victim'])
  })

  it('does not publish a snapshot that is not whole', () => {
    snapshot = (file) => writeFileSync(file, SNAPSHOT.slice(0, -1))
    const report = run()
    assert.ok('failed' in report.snapshot)
    assert.match(report.snapshot.failed, /is incomplete/)
    assert.ok(!existsSync(join(directory, 'memory-1-1.heapsnapshot')))
  })
})
