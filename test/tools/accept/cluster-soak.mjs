// Replacements one after the other, at a limit that one request breaks: the primary's descriptors, timers and listeners
// are what they were, and its heap has not grown with their number. CLUSTER_SOAK sets how many, 1,000 if absent.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import http from 'node:http'
import { require as requireTs } from 'tsx/cjs/api'

const { RunningCluster } = requireTs('../../e2e/cluster/running-cluster.ts', import.meta.url)

const REPLACEMENTS = Number(process.env.CLUSTER_SOAK ?? 1000)
const LONGEST_MS = 19 * 60_000
/** Code that is compiled and caches that fill are not a leak; one slot kept per replacement would be far more. */
const HEAP_MARGIN_BYTES = 1_500_000
const WARM_UP = 10

const undo = []
const context = { after: (each) => undo.unshift(each) }

try {
  const running = await RunningCluster.start(
    context,
    { limit: '120mb', options: { count: 2, minLifetime: 0, checkInterval: 20, logger: false } },
    { env: { NODE_OPTIONS: '--expose-gc' }, lifetimeMs: LONGEST_MS },
  )
  await running.allReady()
  await replace(running, WARM_UP)
  const before = await holdings(running)
  await replace(running, REPLACEMENTS)
  const after = await holdings(running)
  const grownKb = Math.round((after.heapBytes - before.heapBytes) / 1024)
  console.log(
    `Node ${process.versions.node}: ${REPLACEMENTS} replacements, ${after.descriptors} descriptors, ` +
      `${after.timers} timers and ${after.listeners} listeners as before, heap ${grownKb} KiB larger`,
  )
  assert.deepEqual({ ...after, heapBytes: 0 }, { ...before, heapBytes: 0 })
  assert.ok(after.heapBytes - before.heapBytes < HEAP_MARGIN_BYTES)
  assert.equal(running.census.live, 2)
} finally {
  for (const each of undo) await each()
}

async function replace(running, times) {
  for (let done = 0; done < times; done += 1) {
    const before = running.events('recycled').length
    await leak(running.port)
    await running.recycled(before + 1, 30_000)
  }
}

/** On a connection of its own, which ends with the answer. */
async function leak(port) {
  const request = http.get({ host: '127.0.0.1', port, path: '/leak?mb=100', agent: false })
  const [response] = await once(request, 'response')
  await once(response.resume(), 'close')
}

async function holdings(running) {
  const before = running.times('stats')
  running.kill('SIGHUP')
  await running.until('its holdings', () => running.times('stats') > before)
  return running.entries.findLast(({ ev }) => ev === 'stats').holds
}
