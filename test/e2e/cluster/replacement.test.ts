import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { Load, User } from './http-client'
import { monotonicMs, RunningCluster } from './running-cluster'
import { checkCapacity, LONG_MS, replacesUnderLoad } from './under-load'

/** How many replacements the runs under load wait for; CI asks for more on each Node. */
const REPLACEMENTS = Number(process.env['CLUSTER_REPLACEMENTS'] ?? 5)

const often = { minLifetime: 0, killTimeout: 3000 }

for (const [name, env] of [
  ['', {}],
  [', with the kernel sharing out the connections', { NODE_CLUSTER_SCHED_POLICY: 'none' }],
] as const) {
  test(`under mixed load no request is dropped, and all accept at all times${name}`, async (t) => {
    const running = await RunningCluster.start(
      t,
      { limit: '140mb', options: { count: 3, minLifetime: 0, killTimeout: LONG_MS } },
      { env: { LEAK_KB: '1200', ...env } },
    )
    await replacesUnderLoad(t, running, REPLACEMENTS)
  })
}

describe('one at a time', { concurrency: 3 }, () => {
  test('without a leak no worker is replaced', async (t) => {
    const running = await RunningCluster.start(t, { options: { count: 2, ...often } })
    await running.allReady()
    const result = await new Load(t, running.port, { users: 10, seconds: 1.5, mix: 'fast' }).result()
    assert.equal(result.failed, 0, JSON.stringify(result))
    assert.equal(result.farewells, 0)
    assert.equal(running.times('fork'), 2)
  })

  test('all above the limit in the same moment: one after the other', async (t) => {
    const running = await RunningCluster.start(t, {
      options: { count: 3, ...often, checkInterval: 400 },
    })
    await running.allReady()
    const users = [1, 2, 3].map(() => new User(t, running.port))
    await Promise.all(users.map((user) => user.get('/leak?mb=120')))
    await running.recycled(3)
    checkCapacity(running)
    assert.equal(running.times('fork'), 6)
  })

  test('a busy keep-alive connection leaves within one request', async (t) => {
    const running = await RunningCluster.start(t, { options: { count: 2, ...often } })
    await running.allReady()
    const user = new User(t, running.port)
    const { pid } = await user.get('/leak?mb=150')
    await running.until('the drain', () => running.census.mostDraining > 0)
    const answer = await user.get('/')
    assert.deepEqual([answer.status, answer.isLast, answer.pid], [200, true, pid])
    assert.notEqual((await user.get('/')).pid, pid)
    await running.recycled(1)
    checkCapacity(running)
  })

  test('an idle keep-alive connection that is used during the drain is served, and asked to leave', async (t) => {
    const running = await RunningCluster.start(t, { options: { count: 2, ...often } })
    await running.allReady()
    const user = new User(t, running.port)
    const { pid } = await user.get('/leak?mb=150')
    await running.until('the drain', () => running.census.mostDraining > 0)
    await wait(2000)
    const answer = await user.get('/')
    assert.deepEqual([answer.status, answer.isLast, answer.pid], [200, true, pid])
    await running.recycled(1)
  })

  test('idle connections end when the linger is over, and the worker goes with code 0', async (t) => {
    const options = { count: 2, minLifetime: 0, killTimeout: 2500 }
    const running = await RunningCluster.start(t, { options })
    await running.allReady()
    const user = new User(t, running.port)
    const silent = net.connect(running.port, '127.0.0.1')
    const alsoSilent = net.connect(running.port, '127.0.0.1')
    await user.get('/leak?mb=150')
    await running.recycled(1)
    const [recycled] = running.events('recycled')
    assert.equal(recycled?.code, 0)
    assert.ok(Number(recycled?.ms) >= 1900, `gone after ${recycled?.ms} ms`)
    silent.destroy()
    alsoSilent.destroy()
  })

  test("a server's own keepAliveTimeout shortens the linger", async (t) => {
    const running = await RunningCluster.start(t, {
      start: 'keepalive',
      keepAliveTimeout: 1,
      options: { count: 2, minLifetime: 0, killTimeout: 10_000 },
    })
    await running.allReady()
    const silent = net.connect(running.port, '127.0.0.1')
    const other = net.connect(running.port, '127.0.0.1')
    await new User(t, running.port).get('/leak?mb=150')
    await running.recycled(1)
    assert.ok(Number(running.events('recycled')[0]?.ms) < 5000)
    silent.destroy()
    other.destroy()
  })

  test('a request longer than killTimeout is cut at killTimeout, long after the replacement serves', async (t) => {
    const running = await RunningCluster.start(t, {
      options: { count: 2, minLifetime: 0, killTimeout: 1000 },
    })
    await running.allReady()
    const user = new User(t, running.port)
    await user.get('/leak?mb=150')
    await assert.rejects(user.get('/slow?ms=20000'))
    await running.recycled(1)
    const [recycled] = running.events('recycled')
    assert.equal(recycled?.code, 1)
    assert.ok(Number(recycled?.ms) >= 990, `gone after ${recycled?.ms} ms`)
    checkCapacity(running)
  })

  test('a request in flight shorter than killTimeout is answered, and asked to leave', async (t) => {
    const running = await RunningCluster.start(t, { options: { count: 2, ...often } })
    await running.allReady()
    const leaker = new User(t, running.port)
    await leaker.get('/leak?mb=150')
    const directory = mkdtempSync(join(tmpdir(), 'held-'))
    t.after(() => rmSync(directory, { recursive: true }))
    const file = join(directory, 'release')
    const answering = leaker.get(`/held?file=${encodeURIComponent(file)}`)
    await running.until('the drain', () => running.census.mostDraining > 0)
    writeFileSync(file, '')
    const answer = await answering
    assert.deepEqual([answer.status, answer.isLast], [200, true])
    await running.recycled(1)
    assert.equal(running.events('recycled')[0]?.code, 0)
  })

  test('an upload in progress is taken to its end', async (t) => {
    const running = await RunningCluster.start(t, { options: { count: 2, ...often } })
    await running.allReady()
    const user = new User(t, running.port)
    await user.get('/leak?mb=150')
    const answer = await user.send('/upload', 'POST', async (req) => {
      req.write(Buffer.alloc(75_000, 1))
      await running.until('the drain', () => running.census.mostDraining > 0)
      req.write(Buffer.alloc(75_000, 1))
    })
    assert.match(answer.body, /^took 150000 /)
    assert.equal(answer.isLast, true)
    await running.recycled(1)
    assert.equal(running.events('recycled')[0]?.code, 0)
  })

  test('a worker with two servers goes only when the replacement listens on both', async (t) => {
    const running = await RunningCluster.start(t, { start: 'two', options: { count: 2, ...often } })
    await running.allReady()
    await running.until('four listeners', () => running.times('listening') >= 4)
    await new User(t, running.port).get('/leak?mb=150')
    await running.recycled(1)
    const listening = running.entries.filter((entry) => entry.ev === 'listening').map((entry) => entry.t)
    const firstClose = running.entries.find((entry) => entry.ev === 'close')?.t ?? 0
    assert.equal(listening.length, 6)
    assert.ok(Math.max(...listening) < firstClose)
  })

  test('a server that listens only after runFunc has returned is waited for', async (t) => {
    const running = await RunningCluster.start(t, { start: 'late', options: { count: 2, ...often } })
    await running.until('both to listen', () => running.times('listening') >= 2)
    await new User(t, running.port).get('/leak?mb=150')
    await running.recycled(1)
    checkCapacity(running)
  })

  test('without surge the fork comes after the old worker has stopped accepting, and never one too many', async (t) => {
    const running = await RunningCluster.start(t, { options: { count: 2, ...often, maxSurge: 0 } })
    await running.allReady()
    const started = monotonicMs()
    await new User(t, running.port).get('/leak?mb=150')
    await running.recycled(1)
    await running.until('the next one to serve', () => running.census.serving === 2)
    const fork = running.entries.find((entry) => entry.ev === 'fork' && entry.t > started)
    const close = running.entries.find((entry) => entry.ev === 'close')
    assert.ok(fork && close && fork.t >= close.t)
    assert.equal(running.census.leastAccepting, 1)
    assert.equal(running.times('fork'), 3)
  })

  test('a reading above the limit must be confirmed as often as asked', async (t) => {
    const options = { count: 2, ...often, checkInterval: 300, confirm: 4 }
    const running = await RunningCluster.start(t, { options })
    await running.allReady()
    const started = monotonicMs()
    await new User(t, running.port).get('/leak?mb=150')
    await running.until('over', () => running.events('over').length > 0)
    assert.ok((running.events('over')[0]?.t ?? 0) - started > 800)
  })
})
