import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import {
  parseThreadStat,
  readChildUsage,
  readKernelFile,
  readResidentBytes,
  readStartTicks,
  readThreadStat,
  TICK_MS,
} from '../../../src/system/proc'

test('a file is read by its path', () => {
  assert.match(readKernelFile('/proc/self/status') ?? '', /^Name:\t/)
})

test('a missing file is undefined without an error, one that cannot be read has an error code', (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'kernel-file-'))
  t.after(() => rmSync(directory, { recursive: true }))
  const codes: string[] = []
  const read = (path: string) => readKernelFile(path, (code) => codes.push(code))
  assert.equal(read(join(directory, 'missing')), undefined)
  assert.deepEqual(codes, [])
  assert.equal(read(directory), undefined)
  assert.deepEqual(codes, ['EISDIR'])
})

const after = (name: string) =>
  parseThreadStat(`42 (${name}) R 1 42 42 0 -1 4194304 7 0 0 0 250 30 0 0 20 0 11 0 5 6 7\n`)

for (const name of ['node', 'a) b', '(x) S 9', '']) {
  test(`a name of "${name}" moves no field`, () => {
    assert.deepEqual(after(name), { state: 'R', cpuTicks: 280 })
  })
}

test('reads a process, and one thread of it', { skip: process.platform !== 'linux' }, () => {
  for (const directory of ['/proc/self', `/proc/self/task/${process.pid}`]) {
    const stat = readThreadStat(directory)
    assert.match(stat?.state ?? '', /^[RSD]$/)
    assert.ok((stat?.cpuTicks ?? -1) >= 0)
  }
})

test('reads when a process began', { skip: process.platform !== 'linux' }, async (t) => {
  const child = spawn('sleep', ['100'])
  t.after(() => child.kill('SIGKILL'))
  await once(child, 'spawn')
  const [own = NaN, other = NaN] = ['self', child.pid].map((pid) => readStartTicks(`/proc/${pid}`))
  const laterMs = (other - own) * TICK_MS
  assert.ok(laterMs >= 0 && laterMs <= process.uptime() * 1000 + 1000, `${laterMs}`)
  assert.equal(readStartTicks('/proc/0'), undefined)
})

test('undefined for a thread that does not exist', () => {
  assert.equal(readThreadStat('/proc/self/task/0'), undefined)
})

test('what a child does, and undefined for one that has ended', async (t) => {
  const child = spawn(process.execPath, [
    '-e',
    'process.title = "a) b"; console.log("ready"); setInterval(() => {}, 1e9)',
  ])
  t.after(() => child.kill('SIGKILL'))
  await once(child.stdout, 'data')
  const usage = readChildUsage(child.pid ?? 0)
  assert.ok(usage)
  assert.match(usage.state, /^[RSD]$/)
  assert.ok(usage.cpuTicks >= 0)
  assert.ok(usage.anonymousBytes > 1e6)
  child.kill('SIGKILL')
  await once(child, 'close')
  assert.equal(readChildUsage(child.pid ?? 0), undefined)
  assert.equal(readResidentBytes(child.pid ?? 0), undefined)
})

test('the resident set of a process agrees with Node', () => {
  const ratio = (readResidentBytes(process.pid) ?? 0) / process.memoryUsage.rss()
  assert.ok(ratio > 0.8 && ratio < 1.25, `ratio ${ratio}`)
})

test(
  'a child that waits on a lock differs from one that sleeps elsewhere',
  { timeout: 30_000 },
  async (t) => {
    const sleeper = async (last: string) => {
      const child = spawn(process.execPath, ['-e', `console.log('ready'); ${last}`])
      t.after(() => child.kill('SIGKILL'))
      await once(child.stdout, 'data')
      return child.pid ?? 0
    }
    const locked = await sleeper('Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)')
    const idle = await sleeper('setInterval(() => {}, 1e9)')
    /** Polls: each may still be on its way there. */
    const becomes = async (pid: number, isLocked: boolean) => {
      for (;;) {
        const usage = readChildUsage(pid)
        if (usage?.state === 'S' && usage.isLocked === isLocked) return
        await new Promise((later) => setTimeout(later, 10))
      }
    }
    await Promise.all([becomes(locked, true), becomes(idle, false)])
  },
)
