import assert from 'node:assert/strict'
import { describe, test, type TestContext } from 'node:test'
import { User } from './http-client'
import { RunningCluster } from './running-cluster'
import { LONG_MS, replacesUnderLoad } from './under-load'

const REPLACEMENTS = 2

const FRAMEWORKS = ['express', 'fastify', 'koa']

function start(t: TestContext, framework: string, clean: string, killTimeout: number, leakKb: number) {
  return RunningCluster.start(
    t,
    { start: 'framework', framework, clean, limit: '160mb', options: { minLifetime: 0, killTimeout } },
    { env: { LEAK_KB: String(leakKb) } },
  )
}

async function checkUnderLoad(t: TestContext, framework: string, clean: string): Promise<RunningCluster> {
  const running = await start(t, framework, clean, LONG_MS, 1200)
  await replacesUnderLoad(t, running, REPLACEMENTS)
  return running
}

describe('frameworks as they come', { concurrency: 3 }, () => {
  for (const framework of FRAMEWORKS) {
    test(`${framework} without a cleanFunc: under load no request is dropped, and all accept at all times`, async (t) => {
      await checkUnderLoad(t, framework, 'none')
    })

    test(`${framework} that is closed after drained: no request is dropped either`, async (t) => {
      const running = await checkUnderLoad(t, framework, 'closesDrained')
      const closed = running.said.filter((line) => line['closed'] === framework)
      assert.ok(closed.length >= REPLACEMENTS, running.stderr)
    })
  }

  for (const [when, clean, status] of [
    ['at once refuses what comes', 'closesAtOnce', 503],
    ['after drained refuses nothing', 'closesDrained', 200],
  ] as const) {
    test(`Fastify's own close() ${when} on a connection that it still has`, async (t) => {
      const running = await start(t, 'fastify', clean, 3000, 0)
      await running.allReady()
      const user = new User(t, running.port)
      await user.get('/leak?mb=200')
      const isClosing = () => running.said.some((line) => line['closing'] === true)
      const hasBegun = clean === 'closesAtOnce' ? isClosing : () => running.census.mostDraining > 0
      await running.until('the drain', hasBegun)
      const answer = await user.get('/')
      assert.deepEqual([answer.status, answer.isLast], [status, true])
      await running.recycled(1)
      assert.equal(running.events('recycled')[0]?.code, 0)
    })
  }
})
