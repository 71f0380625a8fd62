import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { User } from './http-client'
import { RunningCluster } from './running-cluster'

/** Requests in flight on as many connections, begun before the promise resolves. */
async function inFlight(users: readonly User[], path: string): Promise<Promise<string>[]> {
  await Promise.all(users.map((user) => user.get('/')))
  const answers = users.map((user) =>
    user.get(path).then(
      ({ status, body }) => `${status} ${body.replace(/\d+$/, '').trim()}`,
      (error: unknown) => String(error),
    ),
  )
  await wait(200)
  return answers
}

const six = (t: Parameters<typeof RunningCluster.start>[0], running: RunningCluster) =>
  Array.from({ length: 6 }, () => new User(t, running.port))

/** The primary's lines about a signal that ends the cluster. */
function drainLines(running: RunningCluster): string[] {
  return running.stderr.match(/SIG\w+: \d+ workers finish their requests and end[^;\n]*/g) ?? []
}

const ok = Array.from({ length: 6 }, () => '200 slow')

describe('leaving', { concurrency: 3 }, () => {
  test('the primary is killed: what is in flight is answered, and all workers go', async (t) => {
    const options = { count: 2, killTimeout: 3000 }
    const running = await RunningCluster.start(t, { clean: 'say', options })
    await running.allReady()
    const answers = await inFlight(six(t, running), '/slow?ms=1200')
    running.kill('SIGKILL')
    assert.deepEqual(await Promise.all(answers), ok)
    await running.until('all workers to be gone', () => running.livePids().length === 0, 4000)
    assert.deepEqual(
      running.said.map((line) => line['clean']).filter((reason) => reason !== undefined),
      ['orphaned', 'orphaned'],
    )
    assert.doesNotMatch(running.stderr, /may have been cut/)
  })

  test('the primary is killed while a worker drains: that one finishes as well', async (t) => {
    const options = { count: 2, killTimeout: 3000 }
    const running = await RunningCluster.start(t, { options })
    await running.allReady()
    const user = new User(t, running.port)
    await user.get('/leak?mb=150')
    const answer = user.get('/slow?ms=1500')
    await running.until('the drain', () => running.census.mostDraining > 0)
    running.kill('SIGKILL')
    assert.equal((await answer).status, 200)
    await running.until('all workers to be gone', () => running.livePids().length === 0, 4000)
  })

  test('an orphan that cannot finish ends itself at killTimeout, and reports so', async (t) => {
    const running = await RunningCluster.start(t, { options: { count: 1, killTimeout: 700 } })
    await running.allReady()
    const [answer] = await inFlight([new User(t, running.port)], '/slow?ms=30000')
    running.kill('SIGKILL')
    await running.until('the worker to be gone', () => running.livePids().length === 0, 3000)
    assert.match((await answer) ?? '', /ECONNRESET|socket hang up/)
    const [pid] = running.census.allPids()
    await running.says(
      new RegExp(
        `the worker with pid ${pid} ends with code 1 before it has finished: .* \\(killTimeout gives them 700 ms\\)$`,
        'm',
      ),
    )
  })

  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    test(`${signal} to the primary: what is in flight is answered, exit code 0`, async (t) => {
      const running = await RunningCluster.start(t, {
        clean: 'say',
        options: { count: 2, killTimeout: 3000 },
      })
      await running.allReady()
      const answers = await inFlight(six(t, running), '/slow?ms=1200')
      running.kill(signal)
      assert.deepEqual(await Promise.all(answers), ok)
      assert.deepEqual(await running.gone(), { code: 0, signal: null })
      assert.deepEqual(running.livePids(), [])
      assert.equal(running.times('fork'), 2)
      assert.deepEqual(
        running.said.map((line) => line['clean']).filter((reason) => reason !== undefined),
        ['stop', 'stop'],
      )
      assert.deepEqual(drainLines(running), [
        `${signal}: 2 workers finish their requests and end, within 3000 ms`,
      ])
      assert.doesNotMatch(running.stderr, /may have been cut/)
    })
  }

  test('SIGTERM while a request takes longer than killTimeout: it is cut, and a line reports its worker', async (t) => {
    const running = await RunningCluster.start(t, { options: { count: 2, killTimeout: 700 } })
    await running.allReady()
    const user = new User(t, running.port)
    const { pid } = await user.get('/')
    const cut = assert.rejects(user.get('/slow?ms=30000'))
    await wait(200)
    running.kill('SIGTERM')
    await cut
    assert.deepEqual(await running.gone(), { code: 0, signal: null })
    await running.says(
      new RegExp(
        `worker \\d+ \\(pid ${pid}\\) ended with code 1 while the cluster stopped: .* \\(killTimeout gives them 700 ms\\)$`,
        'm',
      ),
    )
    assert.equal(running.stderr.match(/may have been cut/g)?.length, 1)
  })

  test('SIGTERM while workers have yet to call run and die of it: no line speaks of their requests', async (t) => {
    const running = await RunningCluster.start(t, { options: { count: 1 } }, { program: 'runs-late.js' })
    await running.until('the fork', () => running.times('fork') > 0)
    const pid = running.entries.find(({ ev }) => ev === 'fork')?.pid ?? 0
    running.kill('SIGTERM')
    process.kill(pid, 'SIGKILL')
    assert.deepEqual(await running.gone(), { code: 0, signal: null })
    assert.doesNotMatch(running.stderr, /may have been cut/)
  })

  test('SIGTERM to the whole group, as a supervisor sends it, ends no request either', async (t) => {
    const running = await RunningCluster.start(t, { options: { count: 2, killTimeout: 3000 } })
    await running.allReady()
    const answers = await inFlight(six(t, running), '/slow?ms=1200')
    process.kill(-running.pid, 'SIGTERM')
    assert.deepEqual(await Promise.all(answers), ok)
    assert.deepEqual(await running.gone(), { code: 0, signal: null })
    assert.equal(running.times('fork'), 2)
  })

  test('a second SIGTERM does not wait: exit code 1, no worker left', async (t) => {
    const running = await RunningCluster.start(t, { options: { count: 2, killTimeout: 20_000 } })
    await running.allReady()
    const [answer] = await inFlight([new User(t, running.port)], '/slow?ms=30000')
    running.kill('SIGTERM')
    // Sooner it counts as the same one.
    await wait(700)
    running.kill('SIGTERM')
    assert.deepEqual(await running.gone(2000), { code: 1, signal: null })
    await running.says(
      /a second signal, SIGTERM: all workers get SIGKILL now, and the primary exits with code 1/,
    )
    await answer
    await running.until('nobody left', () => running.livePids().length === 0, 2000)
  })

  test('a signal that a launcher passes on besides is the same one: what is in flight is answered', async (t) => {
    const running = await RunningCluster.start(t, { options: { count: 2 } })
    await running.allReady()
    const answers = await inFlight(six(t, running), '/slow?ms=1200')
    running.kill('SIGINT')
    await running.until('the first', () => /SIGINT: \d+ workers finish their requests/.test(running.stderr))
    running.kill('SIGINT')
    assert.deepEqual(await Promise.all(answers), ok)
    assert.deepEqual(await running.gone(), { code: 0, signal: null })
  })

  test('SIGTERM while all workers are dead and wait for their turn: exit code 0', async (t) => {
    const options = { count: 1, backoff: { base: 20_000 } }
    const running = await RunningCluster.start(t, { start: 'rejecting', options })
    await running.until('a crash', () => running.events('backoff').length > 0)
    running.kill('SIGTERM')
    assert.deepEqual(await running.gone(2000), { code: 0, signal: null })
  })

  test('SIGTERM while a worker has yet to call run: it drains as soon as it does', async (t) => {
    const running = await RunningCluster.start(t, { options: { count: 1 } }, { program: 'runs-late.js' })
    await running.until('the fork', () => running.times('fork') > 0)
    running.kill('SIGTERM')
    assert.deepEqual(await running.gone(), { code: 0, signal: null })
    const { code, signal } = running.entries.find(({ ev }) => ev === 'exit') ?? {}
    assert.deepEqual([code, signal], [0, null], running.story())
  })

  test('SIGTERM to one worker: it is replaced like one above its limit, and drains', async (t) => {
    const running = await RunningCluster.start(t, { options: { count: 2, killTimeout: 3000 } })
    await running.allReady()
    const user = new User(t, running.port)
    const { pid } = await user.get('/')
    const answer = user.get('/slow?ms=1000')
    process.kill(pid, 'SIGTERM')
    assert.equal((await answer).status, 200)
    await running.recycled(1)
    const [recycled] = running.events('recycled')
    assert.deepEqual([recycled?.pid, recycled?.reason, recycled?.code], [pid, 'asked', 0])
    assert.equal(running.census.leastAccepting, 2)
  })

  test('with signals: [] they are left to the application', async (t) => {
    const running = await RunningCluster.start(t, { options: { count: 1, signals: [] } })
    await running.allReady()
    running.kill('SIGTERM')
    assert.deepEqual(await running.gone(), { code: null, signal: 'SIGTERM' })
    await running.until('nobody left', () => running.livePids().length === 0, 6000)
  })

  test('stop() drains all workers, resolves when they are gone, and leaves the primary alive', async (t) => {
    const running = await RunningCluster.start(t, {
      stays: true,
      stops: true,
      options: { count: 2, killTimeout: 3000 },
    })
    await running.allReady()
    const answers = await inFlight(six(t, running), '/slow?ms=500')
    running.kill('SIGUSR2')
    assert.deepEqual(await Promise.all(answers), ok)
    await running.until('stopped', () => running.times('stopped') === 1)
    assert.deepEqual(drainLines(running), [])
    const stats = running.entries.find((entry) => entry.ev === 'stopped')
    assert.deepEqual([stats?.['workers'], stats?.['forks'], stats?.['crashes']], [[], 2, 0])
    assert.deepEqual(running.livePids(), [])
    assert.equal(running.exit, undefined)
    running.kill('SIGTERM')
    assert.deepEqual(await running.gone(), { code: null, signal: 'SIGTERM' })
  })

  test('after stop() nothing keeps the primary alive', async (t) => {
    const running = await RunningCluster.start(t, { stops: true, options: { count: 2, killTimeout: 3000 } })
    await running.allReady()
    running.kill('SIGUSR2')
    assert.deepEqual(await running.gone(), { code: 0, signal: null })
  })

  test('a spinning worker whose primary is gone: with the watchdog it is gone too', async (t) => {
    const options = { count: 1, watchdog: true, killTimeout: 20_000 }
    const running = await RunningCluster.start(t, { options })
    await running.allReady()
    await new User(t, running.port).get('/spin')
    await wait(100)
    running.kill('SIGKILL')
    await running.until('nobody left', () => running.livePids().length === 0, 4000)
  })

  test('a spinning worker whose primary is gone: without the watchdog it spins on', async (t) => {
    const running = await RunningCluster.start(t, { options: { count: 1, killTimeout: 500 } })
    await running.allReady()
    await new User(t, running.port).get('/spin')
    await wait(100)
    running.kill('SIGKILL')
    await wait(2500)
    assert.equal(running.livePids().length, 1)
  })

  test('the watchdog leaves an orphan alone that drains', async (t) => {
    const options = { count: 2, watchdog: true, killTimeout: 4000 }
    const running = await RunningCluster.start(t, { options })
    await running.allReady()
    const answers = await inFlight(six(t, running), '/slow?ms=2000')
    running.kill('SIGKILL')
    assert.deepEqual(await Promise.all(answers), ok)
    await running.until('nobody left', () => running.livePids().length === 0, 3000)
  })
})
