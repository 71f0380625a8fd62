import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { type AskPidusage, ownCpuTime, processUsage } from '../../../src/system/usage'
import { fixture, runFixture } from './run-fixture'

const nodeCpuMs = () => {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1000
}

function collected(chosen?: AskPidusage | string) {
  const failures: string[] = []
  return { cpuTime: ownCpuTime((why) => failures.push(why), chosen), failures }
}

test("on the main thread, where pidusage is the application's: Node's counters, with the reason", async () => {
  const { cpuTime, failures } = collected()
  assert.equal(cpuTime.source, "Node's counters (on the main thread pidusage is not used for them)")
  assert.ok(Math.abs((await cpuTime.read()) - nodeCpuMs()) < 1000)
  assert.deepEqual(failures, [])
})

test("where pidusage cannot be used: Node's counters, with that reason", async () => {
  const { cpuTime, failures } = collected('pidusage would start a program for each reading on darwin')
  assert.equal(cpuTime.source, "Node's counters (pidusage would start a program for each reading on darwin)")
  assert.ok((await cpuTime.read()) > 0)
  assert.deepEqual(failures, [])
})

test('pidusage that can be used is the source', async () => {
  const { cpuTime, failures } = collected((pids) =>
    Promise.resolve(new Map(pids.map((pid) => [pid, { ctime: 1234, memory: 1 }]))),
  )
  assert.equal(cpuTime.source, 'pidusage')
  assert.deepEqual([await cpuTime.read(), failures], [1234, []])
})

for (const [name, ask, why] of [
  ['fails', () => Promise.reject(new Error('not today\nat all')), 'pidusage failed: not today'],
  [
    'finds no process',
    () => Promise.resolve(new Map()),
    `pidusage failed: it returned no CPU time of this process (pid ${process.pid})`,
  ],
] as const) {
  test(`pidusage ${name}: the reading comes from Node's counters, so do all that follow, and it is reported once`, async () => {
    let asked = 0
    const { cpuTime, failures } = collected(() => {
      asked++
      return ask()
    })
    for (let reading = 0; reading < 3; reading++) {
      assert.ok(Math.abs((await cpuTime.read()) - nodeCpuMs()) < 1000)
    }
    assert.deepEqual([asked, failures], [1, [why]])
  })
}

interface Sampled {
  source: string
  percent: string
  rssBytes: number
  failures: string[]
}

interface OnAThread {
  first: Sampled
  second: Sampled
  heldByApplication: number
  heldByBoth: number
  heldAtEnd: number
  cpu: number
  environment: string
}

test("on a thread: pidusage, beside the application's own, and its descriptor ends with the thread", async () => {
  const { result, stderr } = await runFixture<OnAThread>('on-a-thread.js')
  const { first, second, heldByApplication, heldByBoth, heldAtEnd, cpu, environment } = result
  assert.deepEqual([first.source, first.percent, second.percent], ['pidusage', 'undefined', 'number'])
  assert.deepEqual(second.failures, [])
  assert.ok(second.rssBytes > 10_000_000)
  assert.deepEqual([heldByApplication, heldByBoth, heldAtEnd], [1, 2, 1])
  assert.ok(cpu > 0, "the application's window is its own")
  assert.deepEqual([environment, stderr], ['', ''])
})

test('while the thread pool of the process hangs: the reading arrives, and the reason is reported', async () => {
  const { result, stderr } = await runFixture<OnAThread>('on-a-thread.js', { args: ['pool-full'] })
  assert.equal(result.second.percent, 'number')
  assert.deepEqual(result.second.failures, ['pidusage failed: no answer within 1000 ms'])
  assert.equal(result.heldAtEnd, 1)
  assert.equal(stderr, '')
})

test('no descriptor left: CPU and memory of others are read again afterwards, nothing is printed', async () => {
  const { result, stderr } = await runFixture<{ starved: { others: string }; failures: string[] }>(
    'no-descriptor-left.js',
    { descriptors: 60 },
  )
  const { starved, failures, ...others } = result
  const all = { cpu: 'number', memory: 'number', others: 2 }
  assert.deepEqual(others, { before: all, after: all })
  assert.match(starved.others, /^\/proc\/\d+\/status cannot be read \(EMFILE\)$/)
  assert.deepEqual({ ...starved, others: 0 }, { cpu: 'number', memory: 'EMFILE', others: 0 })
  assert.match(failures.join(), /^pidusage failed: EMFILE: too many open files, open '\/proc\/uptime'$/)
  assert.equal(stderr, '')
})

interface Held {
  descriptors: number
  threads: number
  timers: number
  programs: number
  environment: string
  listeners: number
}
interface Rounds {
  source: string
  rssBytes: number
  before: Held
  after: Held
  afterMany: Held
}

test('100 rounds hold no more than one: a descriptor per process that is read, and one timer', async () => {
  const { result, stderr } = await runFixture<Rounds>('rounds.js')
  const { source, before, after, afterMany } = result
  assert.equal(source, 'pidusage')
  assert.deepEqual(afterMany, after)
  // Node may open one for its thread pool or its signals.
  assert.ok(after.descriptors - before.descriptors <= 3, `${before.descriptors} to ${after.descriptors}`)
  assert.ok(after.timers - before.timers <= 1)
  // Both are getconf.
  assert.equal(after.programs, 2)
  assert.deepEqual([after.environment, after.listeners], [before.environment, before.listeners])
  assert.equal(stderr, '')
})

test('an empty PATH and a hostile environment: the same readings, no program, nothing held, nothing printed', async () => {
  const env = { PATH: '', PIDUSAGE_USE_PS: 'true', PIDUSAGE_MAXAGE: '0' }
  const { result, stderr } = await runFixture<Rounds>('rounds.js', { env })
  assert.match(
    result.source,
    /^Node's counters \(pidusage would start the program getconf, and PATH has an entry that depends on the working/,
  )
  assert.deepEqual(result.afterMany, result.before)
  assert.ok(result.rssBytes > 10_000_000 && result.rssBytes < 1_000_000_000, `${result.rssBytes} bytes`)
  assert.equal(stderr, '')
})

test('a hostile environment with getconf: pidusage all the same', async () => {
  const env = { PATH: process.env.PATH, PIDUSAGE_USE_PS: 'true', PIDUSAGE_MAXAGE: '0' }
  const { result, stderr } = await runFixture<Rounds>('rounds.js', { env })
  assert.deepEqual([result.source, result.afterMany.programs, stderr], ['pidusage', 2, ''])
})

async function startIdle(t: TestContext) {
  const child = spawn(process.execPath, [fixture('idle.js')], { stdio: ['pipe', 'pipe', 'inherit'] })
  t.after(() => child.kill('SIGKILL'))
  await once(child.stdout, 'data')
  return { child, pid: child.pid ?? 0 }
}

test('two other processes in one call; one that ends is absent', async (t) => {
  const [stays, goes] = await Promise.all([startIdle(t), startIdle(t)])
  const both = await processUsage([stays.pid, goes.pid])
  assert.deepEqual([...both.keys()], [stays.pid, goes.pid])
  for (const { rssBytes } of both.values()) {
    assert.ok(rssBytes > 10_000_000 && rssBytes < 500_000_000, `${rssBytes} bytes`)
  }
  goes.child.stdin.end()
  await once(goes.child, 'exit')
  for (const pids of [
    [stays.pid, goes.pid],
    [goes.pid, stays.pid],
  ]) {
    assert.deepEqual([...(await processUsage(pids)).keys()], [stays.pid])
  }
  assert.equal((await processUsage([goes.pid])).size, 0)
})

test('no pids: nothing', async () => {
  assert.equal((await processUsage([])).size, 0)
})

test("pidusage's answer counts; a process that it does not answer for is read from its status file", async (t) => {
  const { pid } = await startIdle(t)
  const answers = new Map([[pid, { ctime: 1, memory: 4096 }]])
  const usage = await processUsage([pid, process.pid], () => Promise.resolve(answers))
  assert.deepEqual(usage.get(pid), { rssBytes: 4096 })
  const ratio = (usage.get(process.pid)?.rssBytes ?? 0) / process.memoryUsage.rss()
  assert.ok(ratio > 0.8 && ratio < 1.25, `ratio ${ratio}`)
})

test('in a /proc of another PID namespace, pids are other processes: refused', (t) => {
  const script = `
    const { processUsage } = require(${JSON.stringify(join(__dirname, '../../../dist/system/usage.js'))})
    processUsage([process.pid]).catch(({ message }) => console.log(message))`
  const { status, stdout, stderr } = spawnSync(
    'unshare',
    ['--pid', '--fork', process.execPath, '-e', script],
    { encoding: 'utf8', timeout: 30_000 },
  )
  if (status !== 0) return t.skip(`no PID namespace can be made: ${stderr}`)
  assert.match(
    stdout,
    /^\/proc belongs to another PID namespace, in which this process has pid \d+ instead of \d+\n$/,
  )
})
