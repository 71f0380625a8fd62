import assert from 'node:assert/strict'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import http, { type IncomingMessage } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test, type TestContext } from 'node:test'
import { RunningCluster } from './running-cluster'
import { LONG_MS, replacesUnderLoad } from './under-load'

const REPLACEMENTS = 2

function socketFile(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'cluster-'))
  t.after(() => rmSync(directory, { recursive: true }))
  return join(directory, 'http.sock')
}

describe('a server that listens on a unix socket', { concurrency: 2 }, () => {
  for (const [name, policy] of [
    ['', 'rr'],
    [', with the kernel sharing out the connections', 'none'],
  ] as const) {
    test(`under load no request is dropped, and all accept at all times${name}`, async (t) => {
      const socketPath = socketFile(t)
      const running = await RunningCluster.start(
        t,
        { start: 'socket', socketPath, limit: '140mb', options: { minLifetime: 0, killTimeout: LONG_MS } },
        { env: { LEAK_KB: '1200', NODE_CLUSTER_SCHED_POLICY: policy } },
      )
      await replacesUnderLoad(t, running, REPLACEMENTS, socketPath)
    })
  }

  test('its file is there until the cluster ends, and not after', async (t) => {
    const socketPath = socketFile(t)
    const running = await RunningCluster.start(t, { start: 'socket', socketPath })
    await running.allReady()
    const req = http.get({ socketPath, path: '/leak?mb=150' })
    const [res] = (await once(req, 'response')) as [IncomingMessage]
    await once(res.resume(), 'end')
    await running.recycled(1)
    assert.ok(existsSync(socketPath))
    running.kill('SIGTERM')
    assert.deepEqual(await running.gone(), { code: 0, signal: null })
    assert.equal(existsSync(socketPath), false)
  })
})
