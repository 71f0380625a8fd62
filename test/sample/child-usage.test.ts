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
