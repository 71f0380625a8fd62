import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, statSync, truncateSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { checkCpuProfile, checkHeapSnapshot } from './evidence'

describe("the demo's look at its evidence", () => {
  let folder: string
  let cpuProfile: string
  let heapSnapshot: string

  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'evidence-'))
    cpuProfile = write('cpu-profile.js', 'whole.cpuprofile')
    heapSnapshot = write('heap-snapshot.js', 'whole.heapsnapshot', '10')
  })

  after(() => rmSync(folder, { recursive: true, force: true }))

  it('accepts whole files that name the guilty', async () => {
    await checkCpuProfile(cpuProfile, 'searchForPrimes')
    await checkHeapSnapshot(heapSnapshot, 'ParkedOrder')
  })

  it('does not accept files that do not name the guilty', async () => {
    await assert.rejects(checkCpuProfile(cpuProfile, 'searchForSquares'), /does not name searchForSquares/)
    await assert.rejects(checkHeapSnapshot(heapSnapshot, 'LostOrder'), /holds no LostOrder/)
  })

  it('does not accept files without their last byte', async () => {
    for (const file of [cpuProfile, heapSnapshot]) truncateSync(file, statSync(file).size - 1)
    await assert.rejects(checkCpuProfile(cpuProfile, 'searchForPrimes'), SyntaxError)
    await assert.rejects(checkHeapSnapshot(heapSnapshot, 'ParkedOrder'), SyntaxError)
  })

  function write(fixture: string, name: string, ...more: string[]): string {
    const file = join(folder, name)
    const program = join(__dirname, '../devtools/programs', fixture)
    execFileSync(process.execPath, [program, file, ...more], {
      timeout: 30_000,
      env: { ...process.env, NODE_V8_COVERAGE: '' },
    })
    return file
  }
})
