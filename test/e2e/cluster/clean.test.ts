import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { User } from './http-client'
import { RunningCluster } from './running-cluster'

const often = { count: 2, minLifetime: 0, killTimeout: 1500 }

async function recycleOne(
  t: Parameters<typeof RunningCluster.start>[0],
  clean: string,
): Promise<RunningCluster> {
  const running = await RunningCluster.start(t, { clean, options: often })
  await running.allReady()
  await new User(t, running.port).get('/leak?mb=150')
  await running.recycled(1)
  return running
}

describe('cleanFunc', { concurrency: 3 }, () => {
  test('cleanFunc gets the reason as the drain begins, and a promise for the end of the last connection', async (t) => {
    const running = await RunningCluster.start(t, { clean: 'say', options: often })
    await running.allReady()
    const user = new User(t, running.port)
    const { pid } = await user.get('/leak?mb=150')
    await running.until('cleanFunc', () => running.said.some((line) => line['clean'] !== undefined))
    assert.equal(
      running.said.some((line) => line['drained'] !== undefined),
      false,
    )
    assert.equal((await user.get('/')).isLast, true)
    await running.recycled(1)
    assert.deepEqual(running.said, [
      { pid, clean: 'over' },
      { pid, drained: true },
    ])
  })

  for (const [clean, why] of [
    [
      'throws',
      /^cpu-memory-monitor: cluster: cleanFunc failed in .* \d+, which goes on draining: cleanFunc threw on purpose$/m,
    ],
    ['rejects', /: cleanFunc rejected on purpose$/m],
    ['mumbles', /: an object was thrown whose text cannot be read$/m],
  ] as const) {
    test(`cleanFunc ${clean}: it is logged, and the drain goes on`, async (t) => {
      const running = await recycleOne(t, clean)
      assert.equal(running.events('recycled')[0]?.code, 0)
      await running.says(why)
      assert.doesNotMatch(running.stderr, /^\s+at /m)
    })
  }

  test('cleanFunc never settles: the worker ends itself at killTimeout', async (t) => {
    const running = await recycleOne(t, 'never')
    const [recycled] = running.events('recycled')
    assert.equal(recycled?.code, 1)
    assert.ok(Number(recycled?.ms) >= 1490, `gone after ${recycled?.ms} ms`)
  })

  test('what cleanFunc returns is awaited', async (t) => {
    const running = await recycleOne(t, 'job')
    assert.equal(running.said.filter((line) => line['job'] === 'done').length, 1)
    assert.equal(running.events('recycled')[0]?.code, 0)
  })

  test('cleanFunc that calls server.close() at once does not end idle connections early', async (t) => {
    const running = await RunningCluster.start(t, { clean: 'closes', options: often })
    await running.allReady()
    const user = new User(t, running.port)
    const { pid } = await user.get('/leak?mb=150')
    await running.until('the drain', () => running.census.mostDraining > 0)
    const answer = await user.get('/')
    assert.deepEqual([answer.status, answer.isLast, answer.pid], [200, true, pid])
    await running.recycled(1)
  })

  test('a worker without any server, as one that takes jobs from a queue, is replaced too', async (t) => {
    const running = await RunningCluster.start(t, { start: 'queue', clean: 'job', options: often })
    await running.recycled(2)
    assert.ok(running.said.filter((line) => line['job'] === 'done').length >= 2)
    assert.ok(running.events('recycled').every((event) => event.code === 0))
    assert.equal(running.events('crash').length, 0)
    assert.ok(running.census.mostLive <= 3)
  })
})
