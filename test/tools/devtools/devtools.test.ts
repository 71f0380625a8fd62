import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { copyFileSync, mkdtempSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, extname, join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { promisify } from 'node:util'
import { missingChromium } from './chromium'
import type { DevTools } from './devtools'
import { startDevTools } from './devtools'

const instances = 4321

describe('Chrome DevTools', { skip: missingChromium(), concurrency: 2, timeout: 300_000 }, () => {
  let devTools: DevTools
  let folder: string
  let cpuProfile: string
  let heapSnapshot: string
  let heapProfile: string

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'devtools-'))
    cpuProfile = await written('cpu-profile.js', join(folder, 'whole.cpuprofile'))
    heapSnapshot = await written('heap-snapshot.js', join(folder, 'whole.heapsnapshot'), String(instances))
    heapProfile = await written('heap-profile.js', join(folder, 'whole.heapprofile'))
    devTools = await startDevTools()
  })

  after(async () => {
    await devTools.close()
    rmSync(folder, { recursive: true, force: true })
  })

  it('shows the hot function of a CPU profile on top of Bottom-up', async () => {
    const { functions } = await devTools.openCpuProfile(cpuProfile)
    assert.equal(functions[0]?.name, 'searchForPrimes')
    assert.ok(functions[0].selfMs > 0)
    assert.ok(functions.every(({ selfMs }) => Number.isFinite(selfMs)))
  })

  it('counts the time of functions that take turns once, and not a second time for their caller', async () => {
    const { functions } = await devTools.openCpuProfile(turnsOf(join(folder, 'turns.cpuprofile')))
    assert.deepEqual(functions.map(({ name }) => name).sort(), ['first', 'second'])
    for (const { selfMs } of functions) assert.ok(Math.abs(selfMs - 501) < 1, `${selfMs} ms`)
  })

  it('counts the instances of a class in a heap snapshot', async () => {
    assert.deepEqual(await devTools.openHeapSnapshot(heapSnapshot, 'ParkedOrder'), { count: instances })
  })

  it('does not take a class for another whose name only contains its own', async () => {
    await assert.rejects(devTools.openHeapSnapshot(heapSnapshot, 'ParkedOrde'), /shows no class ParkedOrde /)
  })

  it('shows the allocating function of a sampling heap profile on top of the bottom-up list', async () => {
    const { functions } = await devTools.openHeapProfile(heapProfile)
    assert.equal(functions[0]?.name, 'hoardParcels')
    assert.ok(functions[0].selfPercent > 50)
  })

  for (const { where, sizeOf } of [
    { where: 'to nothing', sizeOf: () => 0 },
    { where: 'in the middle', sizeOf: (size: number) => Math.floor(size / 2) },
    { where: 'a few bytes before its end', sizeOf: (size: number) => size - 9 },
  ]) {
    it(`refuses a CPU profile cut ${where}`, async () => {
      await assert.rejects(devTools.openCpuProfile(cut(cpuProfile, where, sizeOf)), /DevTools cannot read/)
    })

    it(`refuses a heap snapshot cut ${where}`, async () => {
      const file = cut(heapSnapshot, where, sizeOf)
      await assert.rejects(devTools.openHeapSnapshot(file, 'ParkedOrder'), /DevTools cannot read/)
    })

    it(`refuses a heap profile cut ${where}`, async () => {
      await assert.rejects(devTools.openHeapProfile(cut(heapProfile, where, sizeOf)), /DevTools cannot read/)
    })
  }

  it('refuses a heap snapshot without its last byte, though DevTools forgives that', async () => {
    const file = cut(heapSnapshot, 'before the last byte', (size) => size - 1)
    await assert.rejects(devTools.openHeapSnapshot(file, 'ParkedOrder'), /is cut short/)
  })
})

/** Has a child process write a file, because profiling would spoil the coverage of this one. */
async function written(
  fixture: string,
  ...fixtureArguments: [file: string, ...more: string[]]
): Promise<string> {
  const program = join(__dirname, 'programs', fixture)
  const { stdout } = await promisify(execFile)(process.execPath, [program, ...fixtureArguments], {
    timeout: 30_000,
    env: { ...process.env, NODE_V8_COVERAGE: '' },
  })
  assert.equal(stdout.trim(), 'written')
  return fixtureArguments[0]
}

/** Two functions with one caller, of whom each runs for 501 ms, a sample each in turn. */
function turnsOf(file: string): string {
  const [root, caller, first, second] = ['(root)', 'caller', 'first', 'second'].map((functionName, at) => ({
    id: at + 1,
    hitCount: 0,
    callFrame: { functionName, scriptId: '7', url: 'file:///turns.js', lineNumber: at, columnNumber: 0 },
  }))
  const samples = Array.from({ length: 1000 }, (_, at) => 3 + (at % 2))
  const startTime = 72_950_113_007
  const profile = {
    nodes: [{ ...root, children: [2] }, { ...caller, children: [3, 4] }, first, second],
    samples,
    startTime,
    endTime: startTime + 1002 * samples.length,
    timeDeltas: samples.map((_, at) => (at === 0 ? 0 : 1002)),
  }
  writeFileSync(file, JSON.stringify(profile))
  return file
}

function cut(file: string, where: string, sizeOf: (size: number) => number): string {
  const shortened = join(dirname(file), `cut ${where}${extname(file)}`)
  copyFileSync(file, shortened)
  truncateSync(shortened, sizeOf(statSync(file).size))
  return shortened
}
