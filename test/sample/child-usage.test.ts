import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { test } from 'node:test'
import { readChildUsage } from '../../dist/sample/child-usage.js'

test('tells what a child does, and nothing of one that is gone', async (t) => {
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
})

test('tells who waits on a lock from who sleeps elsewhere', { timeout: 30_000 }, async (t) => {
  const sleeper = async (last: string) => {
    const child = spawn(process.execPath, ['-e', `console.log('ready'); ${last}`])
    t.after(() => child.kill('SIGKILL'))
    await once(child.stdout, 'data')
    return child.pid ?? 0
  }
  const locked = await sleeper('Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)')
  const idle = await sleeper('setInterval(() => {}, 1e9)')
  /** Each is on its way there still, or never gets there. */
  const becomes = async (pid: number, isLocked: boolean) => {
    for (;;) {
      const usage = readChildUsage(pid)
      if (usage?.state === 'S' && usage.isLocked === isLocked) return
      await new Promise((later) => setTimeout(later, 10))
    }
  }
  await Promise.all([becomes(locked, true), becomes(idle, false)])
})
