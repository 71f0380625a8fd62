import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test, type TestContext } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { Load, User } from './http-client'
import { monotonicMs, RunningCluster } from './running-cluster'

const often = { minLifetime: 0, killTimeout: 3000 }

function folder(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'cluster-'))
  t.after(() => rmSync(directory, { recursive: true }))
  return directory
}

function switchFile(t: TestContext): string {
  return join(folder(t), 'fail')
}

describe('what goes wrong', { concurrency: 3 }, () => {
  test('a replacement that always fails costs nothing: the old workers serve on, and it is tried again with growing delay', async (t) => {
    const failFile = switchFile(t)
    const running = await RunningCluster.start(t, {
      start: 'failing',
      failFile,
      // The delays begin anew once the others have lived for this long.
      options: { count: 2, ...often, minUptime: 120_000 },
    })
    await running.allReady()
    writeFileSync(failFile, '')
    const load = new Load(t, running.port, { users: 5, seconds: 60, mix: 'fast' })
    await new User(t, running.port).get('/leak?mb=150')
    await running.until('four failures', () => running.events('crash').length >= 4)
    assert.equal(running.census.leastAccepting, 2)
    rmSync(failFile)
    await running.recycled(1)
    const result = await load.end()
    assert.equal(result.failed, 0, JSON.stringify(result))
    assert.equal(running.census.leastAccepting, 2)
    assert.ok(running.census.mostLive <= 3)
    const delays = running.events('backoff').map((event) => Number(event.ms))
    assert.ok((delays.at(-1) ?? 0) > 2 * (delays[0] ?? 0), delays.join(' '))
  })

  test('all workers die at boot: one fork per step, and all come back once it is repaired', async (t) => {
    const failFile = switchFile(t)
    writeFileSync(failFile, '')
    const options = { count: 2, backoff: { base: 500, max: 1000 } }
    const running = await RunningCluster.start(t, { start: 'failing', failFile, options })
    await running.until('three steps', () => running.events('backoff').length >= 3)
    const steps = running.events('backoff').slice(0, 3)
    const forkedAt = running.entries.filter((entry) => entry.ev === 'fork').map((entry) => entry.t)
    // The event is emitted a moment after the wait has begun.
    const tooSoon = steps.filter(({ t: at, ms = 0 }) => forkedAt.some((t) => t > at && t < at + ms - 50))
    assert.deepEqual(tooSoon, [])
    assert.ok(steps.every(({ ms = 0 }) => ms >= 375))
    const forks = forkedAt.filter((t) => t < (steps.at(-1)?.t ?? 0)).length
    assert.ok(forks <= 6, `${forks} forks of 2 workers in 3 steps`)
    rmSync(failFile)
    await running.until('both to serve', () => running.census.serving === 2 && running.ready() === 2)
    assert.equal(running.census.live, 2)
  })

  test('a limit below what a fresh worker takes: no worker is replaced, one warning even without a logger', async (t) => {
    const options = { count: 2, ...often, logger: false }
    const running = await RunningCluster.start(t, { start: 'birth', birthMb: 150, options })
    await running.allReady()
    await wait(1500)
    assert.equal(running.times('fork'), 2)
    assert.equal(running.events('limit-unreachable').length, 1)
    await running.says(/limit of/)
    assert.equal(running.stderr.match(/limit of/g)?.length, 1)
    assert.equal(running.stderr.trim().split('\n').length, 1)
  })

  test('a worker over the limit right after its birth: the spacing grows', async (t) => {
    // A request that fills 60 MB takes far less, also on a loaded machine.
    const options = { count: 1, killTimeout: 15_000, minLifetime: 60_000, backoff: { base: 300 } }
    const running = await RunningCluster.start(t, { options }, { env: { LEAK_KB: '60000' } })
    await running.allReady()
    const load = new Load(t, running.port, { users: 2, seconds: 60, mix: 'fast' })
    await running.recycled(4, 30_000)
    const result = await load.end()
    assert.equal(result.failed, 0, JSON.stringify(result))
    const spacings = running.events('thrash').map((event) => Number(event.ms))
    assert.ok((spacings.at(-1) ?? 0) > 2 * (spacings[0] ?? 0), spacings.join(' '))
    assert.equal(running.census.leastAccepting, 1)
  })

  test('the old worker is killed before its replacement is ready: one fork in all', async (t) => {
    const running = await RunningCluster.start(t, { start: 'late', options: { count: 2, ...often } })
    await running.until('both to listen', () => running.times('listening') >= 2)
    const { pid } = await new User(t, running.port).get('/leak?mb=150')
    await running.until('the replacement', () => running.times('fork') === 3)
    process.kill(pid, 'SIGKILL')
    await running.until('both to serve', () => running.census.serving === 2 && running.ready() === 3)
    await wait(500)
    assert.equal(running.times('fork'), 3)
    assert.equal(running.census.live, 2)
  })

  test('the replacement is killed before it is ready: the old one serves on, one more fork', async (t) => {
    const running = await RunningCluster.start(t, { start: 'late', options: { count: 2, ...often } })
    await running.until('both to listen', () => running.times('listening') >= 2)
    await new User(t, running.port).get('/leak?mb=150')
    await running.until('the replacement', () => running.times('fork') === 3)
    process.kill(running.entries.findLast((entry) => entry.ev === 'fork')?.pid ?? 0, 'SIGKILL')
    await running.recycled(1)
    assert.equal(running.times('fork'), 4)
    assert.equal(running.census.leastAccepting, 2)
  })

  test('the worker is killed while it drains: no fork for it', async (t) => {
    const running = await RunningCluster.start(t, { options: { count: 2, ...often } })
    await running.allReady()
    const user = new User(t, running.port)
    const { pid } = await user.get('/leak?mb=150')
    const cut = assert.rejects(user.get('/slow?ms=20000'))
    await running.until('the drain', () => running.census.mostDraining > 0)
    process.kill(pid, 'SIGKILL')
    await cut
    await running.recycled(1)
    await wait(500)
    assert.equal(running.events('recycled')[0]?.signal, 'SIGKILL')
    assert.equal(running.events('crash').length, 0)
    assert.equal(running.times('fork'), 3)
  })

  test('a worker that hangs while it drains gets SIGKILL two seconds after its own deadline', async (t) => {
    const options = { count: 2, minLifetime: 0, killTimeout: 500 }
    const running = await RunningCluster.start(t, { clean: 'spins', options })
    await running.allReady()
    await new User(t, running.port).get('/leak?mb=150')
    await running.recycled(1)
    const [recycled] = running.events('recycled')
    assert.equal(recycled?.signal, 'SIGKILL')
    assert.ok(Number(recycled?.ms) >= 2500, `gone after ${recycled?.ms} ms`)
    assert.equal(running.times('fork'), 3)
  })

  test('a worker whose runFunc does not settle in time gets SIGKILL, with a line that reports so', async (t) => {
    // Long enough to call run() in, also on a loaded machine.
    const options = { count: 1, startTimeout: 4000 }
    const running = await RunningCluster.start(t, { start: 'silent', options })
    await running.until('a crash', () => running.events('crash').length > 0)
    const [crash] = running.events('crash')
    assert.deepEqual([crash?.cause, crash?.signal, crash?.uptime], ['start-timeout', 'SIGKILL', 0])
    await running.says(
      /is lost: start-timeout, SIGKILL, before it was ready: runFunc had not settled 4000 ms after the fork \(startTimeout\)$/m,
    )
  })

  for (const [what, start, count] of [
    ['a port that it has closed again', 'probing', 1],
    ['a socket file of its own', 'private', 2],
  ] as const) {
    test(`a worker that listened on ${what} is replaced`, async (t) => {
      const running = await RunningCluster.start(t, {
        start,
        directory: folder(t),
        options: { count, ...often },
      })
      await running.allReady()
      const { pid } = await new User(t, running.port).get('/leak?mb=150')
      await running.recycled(1)
      assert.deepEqual([running.events('recycled')[0]?.pid, running.events('recycled')[0]?.code], [pid, 0])
      assert.equal(running.events('crash').length, 0)
    })
  }

  test('the only worker, with a socket file of its own, is not replaced: the line names what is missing', async (t) => {
    const options = { count: 1, ...often, startTimeout: 4000 }
    const running = await RunningCluster.start(t, { start: 'private', directory: folder(t), options })
    await running.allReady()
    await new User(t, running.port).get('/leak?mb=150')
    await running.until('a crash', () => running.events('crash').length > 0)
    await running.says(/start-timeout, SIGKILL, .*: it did not listen on \S+\/\d+\.sock\n/)
    assert.doesNotMatch(running.stderr, /runFunc/)
    assert.equal(running.events('recycled').length, 0)
    assert.equal(running.census.serving, 1)
  })

  test('runFunc rejects: the worker dies with code 1, its stack on stderr', async (t) => {
    const running = await RunningCluster.start(t, { start: 'rejecting', options: { count: 1 } })
    await running.until('a crash', () => running.events('crash').length > 0)
    assert.equal(running.events('crash')[0]?.code, 1)
    await running.says(/runFunc rejected on purpose\n\s+at/)
  })

  test("'exit' that comes before 'disconnect' forks once", async (t) => {
    const running = await RunningCluster.start(t, {
      start: 'grandchild',
      options: { count: 2, minUptime: 0 },
    })
    await running.allReady()
    process.kill(running.census.allPids()[0] ?? 0, 'SIGKILL')
    await running.until('both events', () => running.times('exit') > 0 && running.times('disconnect') > 0)
    const order = running.entries
      .filter((entry) => /^(exit|disconnect)$/.test(entry.ev))
      .map((entry) => entry.ev)
    assert.deepEqual(order, ['exit', 'disconnect'])
    await running.until('both to serve', () => running.ready() === 3)
    await wait(500)
    assert.equal(running.times('fork'), 3)
  })

  test('workers that cannot be started are a crash: the primary lives, backs off and recovers', async (t) => {
    const running = await RunningCluster.start(t, { bogusExecPath: true, options: { count: 2 } })
    await running.until('three steps', () => running.events('backoff').length >= 3)
    assert.equal(running.events('crash')[0]?.cause, 'fork-failed')
    assert.equal(running.exit, undefined)
    await running.says(/a worker could not be started: .*ENOENT/)
    assert.doesNotMatch(running.stderr, /is lost/)
    running.kill('SIGHUP')
    await running.until('both to serve', () => running.ready() === 2)
  })

  test('a worker above the hard limit is replaced although its own check sleeps', async (t) => {
    // Filling so much memory blocks the worker for a while; it is not to be taken for hung.
    const options = { count: 2, ...often, checkInterval: 500, hardLimit: '250mb', confirm: 1_000_000 }
    const running = await RunningCluster.start(t, { options })
    await running.allReady()
    const { pid } = await new User(t, running.port).get('/leak?mb=300')
    await running.recycled(1)
    const [recycled] = running.events('recycled')
    assert.deepEqual([recycled?.pid, recycled?.reason, recycled?.code], [pid, 'hard-limit', 0])
    assert.equal(running.census.leastAccepting, 2)
  })

  test('a worker that hangs above the hard limit gets SIGKILL after its replacement serves', async (t) => {
    const options = { count: 2, ...often, hardLimit: '250mb', confirm: 1_000_000 }
    const running = await RunningCluster.start(t, { start: 'slowly', options })
    await running.allReady()
    const started = monotonicMs()
    const { pid } = await new User(t, running.port).get('/spin-fat?mb=300')
    await running.recycled(1)
    const [recycled] = running.events('recycled')
    assert.deepEqual([recycled?.pid, recycled?.signal], [pid, 'SIGKILL'])
    const fork = running.entries.find((entry) => entry.ev === 'fork' && entry.t > started)
    assert.ok(fork && recycled && fork.t < recycled.t)
    assert.ok(Number(recycled.ms) < 1000, `gone after ${recycled.ms} ms`)
    assert.equal(running.census.leastAccepting, 2)
    assert.equal(running.times('fork'), 3)
  })

  test('a worker that the application gives up is replaced first: no request fails', async (t) => {
    const running = await RunningCluster.start(t, { options: { count: 2, ...often } })
    await running.allReady()
    const load = new Load(t, running.port, { users: 5, seconds: 60, mix: 'fast' })
    const { pid } = await new User(t, running.port).get('/give-up')
    await running.recycled(1)
    const result = await load.end()
    assert.equal(result.failed, 0, JSON.stringify(result))
    const [recycled] = running.events('recycled')
    assert.deepEqual([recycled?.pid, recycled?.reason, recycled?.code], [pid, 'asked', 0])
    assert.deepEqual([running.census.leastAccepting, running.times('fork')], [2, 3])
  })

  test('a worker that gives itself up while it starts is gone at once, and one is forked for it', async (t) => {
    const failFile = switchFile(t)
    writeFileSync(failFile, '')
    const options = { count: 1, startTimeout: 60_000 }
    const running = await RunningCluster.start(t, { start: 'givingUp', failFile, options })
    await running.until('the loss', () => running.events('crash').length === 1)
    const [crash] = running.events('crash')
    assert.deepEqual([crash?.cause, crash?.code], ['exit', 0])
    rmSync(failFile)
    await running.allReady()
  })

  test('a worker that closes its channel and lives on: its place is filled, once, while it finishes', async (t) => {
    const running = await RunningCluster.start(t, { options: { count: 2, killTimeout: 20_000 } })
    await running.allReady()
    const answer = new User(t, running.port).get('/hang-up?ms=3000')
    await running.until('the loss', () => running.events('crash').length === 1)
    const [crash] = running.events('crash')
    assert.deepEqual([crash?.cause, crash?.code, crash?.signal], ['disconnect', null, null])
    await running.until('its successor', () => running.ready() === 3)
    assert.equal((await answer).pid, crash?.pid)
    await wait(500)
    assert.deepEqual([running.times('fork'), running.events('crash').length], [3, 1])
  })
})
