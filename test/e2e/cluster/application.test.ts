import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { describe, test } from 'node:test'
import { promisify } from 'node:util'
import { User } from './http-client'
import { RunningCluster } from './running-cluster'

const often = { count: 2, minLifetime: 0, killTimeout: 1500 }

describe('the application', { concurrency: 3 }, () => {
  test('listeners that throw or reject are logged and disturb nothing else', async (t) => {
    const running = await RunningCluster.start(t, { badListener: true, options: often })
    await running.allReady()
    await running.until('the lines', () => /rejected on purpose/.test(running.stderr))
    await running.says(/a listener for 'ready' failed: listener threw on purpose/)
    await running.says(/a listener for 'ready' failed: an object was thrown whose text cannot be read/)
    assert.equal(running.exit, undefined)
    // The primary still decides.
    await new User(t, running.port).get('/leak?mb=150')
    await running.recycled(1)
  })

  test('a logger that rejects ends neither the primary nor a worker', async (t) => {
    const running = await RunningCluster.start(t, { badLogger: true, clean: 'throws', options: often })
    await running.allReady()
    await new User(t, running.port).get('/leak?mb=150')
    await running.recycled(1)
    assert.equal(running.events('recycled')[0]?.code, 0)
    assert.equal(running.events('crash').length, 0)
    assert.equal(running.exit, undefined)
    assert.equal(running.stderr, '')
  })

  test('stats() lists the workers', async (t) => {
    const running = await RunningCluster.start(t, { options: { count: 2 } })
    await running.allReady()
    running.kill('SIGHUP')
    await running.until('stats', () => running.times('stats') > 0)
    const stats = running.entries.find((entry) => entry.ev === 'stats')
    const workers = stats?.['workers'] as { id: number; pid: number; state: string; rss: number }[]
    assert.deepEqual(
      workers.map(({ id, pid, state }) => [id, pid, state]),
      running.census.allPids().map((pid, i) => [i + 1, pid, 'ready']),
    )
    assert.ok(workers.every(({ rss }) => rss > 20e6))
    assert.deepEqual(
      [stats?.['count'], stats?.['forks'], stats?.['recycled'], stats?.['crashes']],
      [2, 2, 0, 0],
    )
  })

  test('a second run in one process is refused, and harms not the first', async (t) => {
    const running = await RunningCluster.start(t, { runsTwice: true, options: { count: 2 } })
    await running.allReady()
    await running.until('the refusals', () => running.said.filter((line) => line['refused']).length === 3)
    assert.match(String(running.said[0]?.['refused']), /a process can run only one cluster/)
    assert.equal(running.census.live, 2)
  })

  for (const [what, order] of [
    ['gets no message', undefined],
    ['cannot drain it by a forged message', 'forge'],
  ] as const) {
    test(`a primary that knows nothing of run ${what}; one line of its worker says that it is not replaced`, async () => {
      const program = `${__dirname}/programs/foreign-primary.js`
      const done = promisify(execFile)(process.execPath, order ? [program, order] : [program])
      const { code, stdout, stderr } = await done.then(
        () => assert.fail('ended with code 0'),
        (error: { code: number; stdout: string; stderr: string }) => error,
      )
      assert.deepEqual([code, stdout], [7, 'null'])
      assert.match(
        stderr,
        /^cpu-memory-monitor: cluster: .* was forked by a primary that does not use this package's run\(\): this worker will not be replaced when it exceeds the limit\n$/,
      )
    })
  }

  for (const signal of ['SIGINT', 'SIGTERM']) {
    test(`a worker of such a primary drains on ${signal}: no other order will come`, async () => {
      const program = `${__dirname}/programs/foreign-primary.js`
      const { stdout } = await promisify(execFile)(process.execPath, [program, signal], { timeout: 30_000 })
      assert.equal(stdout, 'stop null', 'it drained, and ended by itself with code 0')
    })
  }

  test('in a worker thread it is refused, and forks nothing', async () => {
    const thread = `try { require('cpu-memory-monitor/cluster').run('1gb', () => {}) } catch (error) { console.log(error.message) }`
    const program = `new (require('node:worker_threads').Worker)(${JSON.stringify(thread)}, { eval: true })`
    const cwd = `${__dirname}/../../..`
    const { stdout } = await promisify(execFile)(process.execPath, ['-e', program], { cwd, timeout: 30_000 })
    assert.equal(stdout, 'run was called in a worker thread; call it on the main thread\n')
  })

  for (const [name, program] of [
    ['require', "const m = require('cpu-memory-monitor/cluster'); console.log(typeof m.run)"],
    ['named import', "import { run } from 'cpu-memory-monitor/cluster'; console.log(typeof run)"],
    ['default import', "import m from 'cpu-memory-monitor/cluster'; console.log(typeof m.run)"],
  ] as const) {
    test(`it can be had by ${name}`, async () => {
      const type = name === 'require' ? 'commonjs' : 'module'
      const cwd = `${__dirname}/../../..`
      const { stdout } = await promisify(execFile)(
        process.execPath,
        [`--input-type=${type}`, '-e', program],
        {
          cwd,
        },
      )
      assert.equal(stdout.trim(), 'function')
    })
  }
})
