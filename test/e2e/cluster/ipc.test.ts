import assert from 'node:assert/strict'
import { type EventEmitter, once } from 'node:events'
import { describe, test, type TestContext } from 'node:test'
import { User } from './http-client'
import { RunningCluster } from './running-cluster'

const options = { count: 2, minLifetime: 0, killTimeout: 1500 }

const COMMAND = 'NODE_CPU_MEMORY_MONITOR'
const ODD = { toString: 1, valueOf: 1 }

/** Messages that a user who knows the source can post: without the secret, with odd values in every place. */
const FORGED: readonly object[] = [
  { kind: 'joined' },
  { kind: 'started', rssBytes: ODD },
  { kind: 'started', rssBytes: 1e15 },
  { kind: 'reading', rssBytes: ODD },
  { kind: 'reading', rssBytes: '1n' },
  { kind: 'over', rssBytes: ODD },
  { kind: 'over', rssBytes: 'abc' },
  { kind: 'over', rssBytes: null },
  { kind: 'over', rssBytes: 1e15 },
  { kind: 'asked' },
  { kind: 'leave' },
  { kind: 'listening', address: '9.9.9.9:5' },
  { kind: 'shut', address: ODD },
  { kind: 'shut', address: '1n' },
  { kind: 'closed' },
  { kind: 'enough' },
  { kind: 'last' },
  { kind: 'drained' },
  { kind: 'drain', reason: 'asked', dump: true },
  { kind: 'drain', reason: ODD, dump: ODD },
  { kind: ODD },
]

/** What Node takes for its own report of a listening worker, and passes on to listeners without a look at it. */
const forgedForNode = (port: number): readonly object[] =>
  [
    // Where no successor can listen, from each worker.
    ...Array<object>(4).fill({ addressType: 4, address: '9.9.9.9', port }),
    { addressType: 4, address: { a: 1 }, port },
    { addressType: 4, address: ODD, port },
    { addressType: ODD, address: [], port },
    { addressType: -1, port },
    { port },
  ].map((address) => ({ cmd: 'NODE_CLUSTER', act: 'listening', ...address }))

/** As the message itself, below the key that an earlier version used, and with a wrong secret of each type. */
function disguises(forged: object): unknown[] {
  const secrets: unknown[] = ['', 'guess', 0, null, true, '1n', [], ODD]
  return [
    forged,
    { 'cpu-memory-monitor/cluster': forged },
    { cmd: COMMAND, ...forged },
    ...secrets.map((secret) => ({ cmd: COMMAND, secret, ...forged })),
  ]
}

async function post(t: TestContext, running: RunningCluster, message: unknown): Promise<void> {
  const user = new User(t, running.port)
  const { body } = await user.send('/', 'POST', (req) => req.write(JSON.stringify(message)))
  assert.equal(body, 'sent')
  user.leave()
}

/** Nothing has happened but the start. */
function assertUntouched(running: RunningCluster): void {
  assert.equal(running.exit, undefined, running.stderr)
  assert.equal(running.census.allPids().length, 2, running.story())
  assert.equal(running.census.leastAccepting, 2)
  for (const name of ['over', 'recycle', 'recycled', 'crash', 'backoff', 'thrash', 'limit-unreachable']) {
    assert.deepEqual(running.events(name), [], running.story())
  }
  assert.equal(running.ready(), 2)
}

describe('messages between primary and workers', { concurrency: 2 }, () => {
  for (const serialization of ['json', 'advanced']) {
    const setup = { serialization }

    test(`${serialization}: the application hears its own messages on every channel, and none of ours`, async (t) => {
      const config = { start: 'listening', trusts: true, setup, options: { ...options, count: 1 } }
      const running = await RunningCluster.start(t, config)
      await running.allReady()
      await new User(t, running.port).get('/leak?mb=150')
      await running.recycled(1)
      assert.equal(running.events('recycled')[0]?.reason, 'over')
      const [first] = running.census.allPids()
      const said = running.said.filter(({ pid, on }) => pid === first && on !== undefined)
      assert.deepEqual(
        said.map(({ on, heard }) => [on, heard]),
        [
          ['worker', { to: 'application' }],
          ['process', { to: 'application' }],
        ],
      )
      const heard = running.entries.filter(({ ev }) => ev === 'heard')
      const each = ['cluster', 'process', 'worker'].map((on) => heard.filter((entry) => entry['on'] === on))
      assert.deepEqual(
        each.map((entries) => entries.map(({ from }) => from)),
        Array(3).fill(['APPLICATION', 'APPLICATION']),
      )
      assert.doesNotMatch(running.stderr, /another cluster's primary/)
    })

    test(`${serialization}: a worker that forwards what users post forges nothing`, async (t) => {
      const running = await RunningCluster.start(t, { start: 'forwarding', setup, options })
      await running.allReady()
      for (const message of FORGED.flatMap(disguises)) await post(t, running, message)
      for (const message of forgedForNode(running.port)) await post(t, running, message)
      // A round trip of the real protocol comes after all of them.
      await new User(t, running.port).get('/leak?mb=1')
      assertUntouched(running)
      await new User(t, running.port).get('/leak?mb=150')
      await running.recycled(1)
    })

    test(`${serialization}: a primary that forwards what users post drains no worker`, async (t) => {
      const running = await RunningCluster.start(t, { start: 'forwarding', forwards: true, setup, options })
      await running.allReady()
      const forged = FORGED.flatMap(disguises)
      for (const toWorkers of forged) await post(t, running, { toWorkers })
      await running.until('all to be forwarded', () => running.times('forwarded') === forged.length)
      assert.deepEqual((await new User(t, running.port).get('/')).status, 200)
      assertUntouched(running)
    })
  }

  test('a process manager above the primary gets none of its messages, and steers nothing by them', async (t) => {
    const running = await RunningCluster.start(t, { options }, { ipc: true })
    const heard: unknown[] = []
    const channel: EventEmitter = running.primary
    for (const event of ['message', 'internalMessage']) channel.on(event, (message) => heard.push(message))
    await running.allReady()
    for (const message of FORGED.flatMap(disguises)) running.primary.send(message as object)
    await new User(t, running.port).get('/leak?mb=1')
    assertUntouched(running)
    await new User(t, running.port).get('/leak?mb=150')
    await running.recycled(1)
    assert.deepEqual(heard, [])
  })

  test('neither the application nor its child processes find the secret in their environment', async (t) => {
    const running = await RunningCluster.start(t, { start: 'listening', options: { ...options, count: 1 } })
    await running.allReady()
    await running.until('its environment', () => running.said.some((line) => 'own' in line))
    const line = running.said.find((each) => 'own' in each)
    assert.deepEqual([line?.['own'], line?.['child']], [null, 'undefined'])
  })

  test('a primary that dies while its workers start is not called a foreign one', async (t) => {
    const running = await RunningCluster.start(t, { diesAtOnce: true, options })
    // 'close' comes when the last worker has closed its stderr too.
    await once(running.primary, 'close')
    assert.equal(running.census.allPids().length, 2)
    assert.doesNotMatch(running.stderr, /another cluster's primary/)
  })
})

describe('a worker file that never calls run()', () => {
  test('has a cause of its own and a line that names the file', async (t) => {
    const exec = `${__dirname}/programs/never-runs.js`
    const config = { setup: { exec }, options: { count: 1, startTimeout: 700 } }
    const running = await RunningCluster.start(t, config)
    await running.until('a crash', () => running.events('crash').length > 0)
    const [crash] = running.events('crash')
    assert.deepEqual([crash?.cause, crash?.signal, crash?.uptime], ['run-not-called', 'SIGKILL', 0])
    await running.says(
      /is lost: run-not-called, SIGKILL, before it was ready: \S*never-runs\.js did not call run\(\) in time; the file that workers execute/,
    )
    assert.doesNotMatch(running.stderr, /runFunc/)
  })
})
