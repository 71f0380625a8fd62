import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import { test, type TestContext } from 'node:test'

import { processUsage } from '../../dist/sample/process-usage.js'
import { fixture } from './run-fixture.js'

async function startIdle(t: TestContext) {
  const child = spawn(process.execPath, [fixture('idle.js')], { stdio: ['pipe', 'pipe', 'inherit'] })
  t.after(() => child.kill('SIGKILL'))
  await once(child.stdout, 'data')
  return { child, pid: child.pid ?? 0 }
}

test('two processes in one call; the one that vanishes is absent', async (t) => {
  const [stays, goes] = await Promise.all([startIdle(t), startIdle(t)])
  const both = await processUsage([stays.pid, goes.pid])
  assert.deepEqual([...both.keys()].sort(), [stays.pid, goes.pid].sort())
  for (const { cpuMs, rssBytes } of both.values()) {
    assert.ok(cpuMs > 0 && cpuMs < 60_000, `${cpuMs} ms`)
    assert.ok(rssBytes > 10_000_000 && rssBytes < 500_000_000, `${rssBytes} bytes`)
  }

  const before = readdirSync('/proc/self/fd').length
  goes.child.stdin.end()
  await once(goes.child, 'exit')
  for (const pids of [
    [stays.pid, goes.pid],
    [goes.pid, stays.pid],
  ]) {
    assert.deepEqual([...(await processUsage(pids)).keys()], [stays.pid])
  }
  assert.equal((await processUsage([goes.pid])).size, 0)
  assert.ok(readdirSync('/proc/self/fd').length <= before)
})

test('no pids: nothing', async () => {
  assert.equal((await processUsage([])).size, 0)
})

test('what is no pid is refused', async () => {
  for (const pid of [-1, NaN]) await assert.rejects(processUsage([pid]), TypeError)
})
