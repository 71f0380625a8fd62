// Replacements under the mixed load: twenty keep-alive users of three workers, fast, slow and chunked answers. No request
// fails, three accept at all times, never are there more than four. CLUSTER_REPLACEMENTS sets how many, 100 if absent.
import assert from 'node:assert/strict'
import { require as requireTs } from 'tsx/cjs/api'

const { RunningCluster } = requireTs('../../e2e/cluster/running-cluster.ts', import.meta.url)
const { Load } = requireTs('../../e2e/cluster/http-client.ts', import.meta.url)

const REPLACEMENTS = Number(process.env.CLUSTER_REPLACEMENTS ?? 100)
const LONGEST_MS = 18 * 60_000

/** Far above the longest request: on a loaded machine a request of two seconds takes many. */
const KILL_TIMEOUT_MS = 15_000

const undo = []
const context = { after: (each) => undo.unshift(each) }

try {
  const running = await RunningCluster.start(
    context,
    { limit: '140mb', options: { count: 3, minLifetime: 0, killTimeout: KILL_TIMEOUT_MS, logger: false } },
    { env: { LEAK_KB: '1200' }, lifetimeMs: LONGEST_MS },
  )
  await running.allReady()
  const load = new Load(context, running.port, { users: 20, seconds: LONGEST_MS / 1000, mix: 'mixed' })
  await running.recycled(REPLACEMENTS, LONGEST_MS)
  const { sent, ok, failed, why, worstMs } = await load.end()
  const { census } = running
  const recycled = running.events('recycled')
  console.log(
    `Node ${process.versions.node}: ${recycled.length} replacements, ${sent} requests, ${failed} failed, ` +
      `slowest ${worstMs} ms, ${census.msBelow} ms below 3 accepting, at most ${census.mostLive} processes`,
  )
  assert.deepEqual([failed, ok, why], [0, sent, {}])
  assert.deepEqual([census.leastAccepting, census.msBelow], [3, 0])
  assert.ok(census.mostLive <= 4 && census.mostDraining <= 1)
  assert.ok(recycled.every(({ code }) => code === 0))
  assert.equal(running.events('crash').length, 0)
} finally {
  for (const each of undo) await each()
}
