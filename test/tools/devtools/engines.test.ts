import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { copyFileSync, mkdtempSync, rmSync, statSync, truncateSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { promisify } from 'node:util'
import type { Dump } from '../../../dist/dispatch/events.js'
import { makeApplication } from '../../packages/application'
import { missingChromium } from './chromium'
import { type DevTools, startDevTools } from './devtools'

const INSTANCES = 2345
const packages = process.env['CMM_TEST_PACKAGES']
const noPackages =
  packages === undefined && 'NOT TESTED with the packages: CMM_TEST_PACKAGES names no directory that has them'

const engines = [
  { engine: 'builtin', cpuWay: 'inspector', memoryWay: /^(v8|fork)$/, skip: missingChromium() },
  {
    engine: 'packages',
    cpuWay: 'v8-profiler-next',
    memoryWay: /^(heapdump|fork)$/,
    skip: missingChromium() || noPackages,
  },
]

for (const { engine, cpuWay, memoryWay, skip } of engines) {
  describe(`what the monitor writes with engine '${engine}'`, { skip, timeout: 300_000 }, () => {
    let folder: string
    let devTools: DevTools
    let dumps: { cpu: Dump; memory: Dump }

    before(async () => {
      folder = mkdtempSync(join(tmpdir(), 'engines-'))
      dumps = await monitored(engine, folder)
      devTools = await startDevTools()
    })

    after(async () => {
      await devTools?.close()
      rmSync(folder, { recursive: true, force: true })
    })

    it('is taken the way that was asked for', () => {
      assert.equal(dumps.cpu.way, cpuWay)
      assert.match(dumps.memory.way, memoryWay)
    })

    it('shows the hot function on top of Bottom-up', async () => {
      const { functions } = await devTools.openCpuProfile(dumps.cpu.file)
      assert.equal(functions[0]?.name, 'countCollatz')
    })

    it('does not open when cut short', async () => {
      await assert.rejects(devTools.openCpuProfile(cut(dumps.cpu.file)), /DevTools cannot read/)
    })

    it('shows the leaked class with the count that the program made', async () => {
      const { count } = await devTools.openHeapSnapshot(dumps.memory.file, 'LeakedTicket')
      assert.equal(count, INSTANCES)
    })

    it('has no snapshot that opens when cut short', async () => {
      const file = cut(dumps.memory.file)
      await assert.rejects(devTools.openHeapSnapshot(file, 'LeakedTicket'), /DevTools cannot read/)
    })

    it('shows the leaking function in the sampling heap profile beside the snapshot', async () => {
      const file = dumps.memory.files.find((name) => name.endsWith('.heapprofile'))
      assert.ok(file, `no .heapprofile among ${dumps.memory.files.join(', ')}`)
      const { functions } = await devTools.openHeapProfile(file)
      assert.ok(functions.some(({ name }) => name === 'LeakedTicket' || name === 'leakTickets'))
    })
  })
}

/** Runs the monitored program as an application that has, or has not, installed the three packages. */
async function monitored(engine: string, folder: string): Promise<{ cpu: Dump; memory: Dump }> {
  const program = join(__dirname, 'programs/monitored.js')
  const { stdout, stderr } = await promisify(execFile)(
    process.execPath,
    [makeApplication(folder, packages), program, engine, folder, String(INSTANCES)],
    { cwd: folder, timeout: 120_000 },
  )
  assert.equal(stderr, '')
  return JSON.parse(stdout) as { cpu: Dump; memory: Dump }
}

function cut(file: string): string {
  const copy = file.replace(/(\.\w+)$/, '-cut$1')
  copyFileSync(file, copy)
  truncateSync(copy, statSync(file).size - 9)
  return copy
}
