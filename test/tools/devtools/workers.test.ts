import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { after, before, describe, it } from 'node:test'
import type { Dump } from '../../../dist/dispatch/events.js'
import { missingChromium } from './chromium'
import { type DevTools, startDevTools } from './devtools'

const PROGRAMS = join(__dirname, '../../e2e/thread/programs')

describe('what a worker thread leaves', { skip: missingChromium(), timeout: 300_000 }, () => {
  let folder: string
  let devTools: DevTools

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'workers-'))
    devTools = await startDevTools()
  })

  after(async () => {
    await devTools?.close()
    rmSync(folder, { recursive: true, force: true })
  })

  it('is a snapshot with the class that fills the heap of that worker', async () => {
    const { file } = await dumped('with-heavy-workers.js', 'idle', { memory: { threshold: '900gb' } }, 'dump')
    assert.match(file, /-worker-\d+\.heapsnapshot$/)
    assert.deepEqual(await devTools.openHeapSnapshot(file, 'Parcel'), { count: 1500 })
  })

  it('is a profile with the function that it spends its time in', async () => {
    const { file } = await dumped('with-workers.js', 'hot', { cpu: { threshold: 100_000 } }, 'dump 2500')
    assert.match(file, /-worker-\d+\.cpuprofile$/)
    const { functions } = await devTools.openCpuProfile(file)
    assert.equal(functions[0]?.name, 'guiltyWorker')
  })

  /** One dump by hand. */
  async function dumped(program: string, name: string, options: object, order: string): Promise<Dump> {
    const args = [join(PROGRAMS, program), JSON.stringify({ ...options, profileDir: folder }), name]
    const child = spawn(process.execPath, args, { cwd: folder, stdio: ['pipe', 'pipe', 'inherit'] })
    const patience = setTimeout(() => child.kill('SIGKILL'), 120_000)
    try {
      for await (const line of createInterface({ input: child.stdout })) {
        const { type, result } = JSON.parse(line) as { type: string; result: Dump }
        if (type === 'ready') child.stdin.write(`${order}\n`)
        if (type === 'dumped') return result
      }
      throw new Error(`${program} ended without a dump`)
    } finally {
      clearTimeout(patience)
      const ended = once(child, 'exit')
      child.stdin.end()
      await ended
    }
  }
})
