import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { startMemoryCheck } from '../../../src/cluster/memory-check'
import { User } from '../../e2e/cluster/http-client'
import { RunningCluster } from '../../e2e/cluster/running-cluster'

/** Reports for these readings in a row; all readings after them are above the limit. */
function told(t: TestContext, readings: (number | undefined)[], count: number): Promise<[number, boolean][]> {
  const said: [number, boolean][] = []
  // The check itself keeps no process alive, also not this one.
  const alive = setInterval(() => undefined, 1000)
  return new Promise((resolve) => {
    const stop = startMemoryCheck({
      limitBytes: 100,
      intervalMs: 1,
      confirm: 2,
      readRss: () => (readings.length > 0 ? readings.shift() : 200),
      onReading: (rssBytes, isOver) => {
        said.push([rssBytes, isOver])
        if (said.length === count) resolve(said)
      },
    })
    t.after(() => {
      stop()
      clearInterval(alive)
    })
  })
}

test('a reading that failed is none: it is not reported, and neither counts nor breaks the row', async (t) => {
  assert.deepEqual(await told(t, [undefined, 200, undefined, undefined, 200], 2), [
    [200, false],
    [200, true],
  ])
})

test('a reading below the limit does break the row', async (t) => {
  const said = await told(t, [200, 50, 200, 200], 4)
  assert.deepEqual(
    said.map(([, isOver]) => isOver),
    [false, false, false, true],
  )
})
test('a worker without a free descriptor lives, becomes ready, and is watched again afterwards', async (t) => {
  const options = { count: 1, minLifetime: 0 }
  const running = await RunningCluster.start(t, { start: 'exhausted', options })
  await running.allReady()
  await running.until('descriptors again', () => running.said.some((line) => line['free'] === true))
  await new User(t, running.port).get('/leak?mb=150')
  await running.recycled(1)
  assert.equal(running.events('crash').length, 0)
  assert.equal(running.events('recycled')[0]?.reason, 'over')
})
