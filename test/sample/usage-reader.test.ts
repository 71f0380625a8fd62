import assert from 'node:assert/strict'
import { test } from 'node:test'

import { chooseUsageReader } from '../../dist/sample/usage-reader.js'
import { runFixture } from './run-fixture.js'

interface Held {
  descriptors: number
  threads: number
  timers: number
  programs: number
  environment: string
  listeners: number
}
interface Rounds {
  before: Held
  open: Held
  after: Held
  afterMany: Held
  rssBytes: number
}

test('Linux: pidusage; elsewhere: Node, with the reason', () => {
  assert.equal(chooseUsageReader('linux').way, process.platform === 'linux' ? 'pidusage' : 'node')
  for (const platform of ['darwin', 'win32', 'freebsd', 'aix'] as const) {
    const reader = chooseUsageReader(platform)
    assert.equal(reader.way, 'node')
    assert.match(reader.reason, new RegExp(`start a program for each reading on ${platform}`))
    assert.throws(() => reader.of([1]), /other processes cannot be read: pidusage would start a program/)
  }
})

test('both ways tell the same of the own process', () => {
  const [pidusage, node] = [chooseUsageReader('linux').own(), chooseUsageReader('darwin').own()]
  assert.ok(Math.abs(pidusage.cpuMs - node.cpuMs) <= 100, `${pidusage.cpuMs} and ${node.cpuMs} ms`)
  assert.ok(
    Math.abs(1 - pidusage.rssBytes / node.rssBytes) < 0.3,
    `${pidusage.rssBytes} and ${node.rssBytes} bytes`,
  )
})

test('100 rounds leave no descriptor, timer, thread, listener or change of the environment', async () => {
  const { result, stderr } = await runFixture<Rounds>('rounds.js')
  assert.deepEqual(result.open, result.before)
  assert.deepEqual(result.after, result.before)
  assert.deepEqual(result.afterMany, result.before)
  assert.equal(stderr, '')
})

test('an empty PATH and a hostile environment: the same readings, no program started, nothing printed', async () => {
  const env = { PATH: '', PIDUSAGE_USE_PS: 'true', PIDUSAGE_MAXAGE: '0' }
  const { result, stderr } = await runFixture<Rounds>('rounds.js', { env })
  assert.equal(result.afterMany.programs, 0)
  assert.deepEqual(result.afterMany, result.before)
  assert.ok(result.rssBytes > 10_000_000 && result.rssBytes < 1_000_000_000, `${result.rssBytes} bytes`)
  assert.equal(stderr, '')
})

test("the application's own pidusage goes on undisturbed, and does not disturb", async () => {
  interface Beside {
    cpu: number
    counted: number
    heldByApplication: number
    heldAtEnd: number
    sameInstance: boolean
  }
  const { result } = await runFixture<Beside>('beside-application.js')
  const ratio = result.cpu / result.counted
  assert.ok(
    ratio > 0.7 && ratio < 1.4,
    `the application was told ${result.cpu}, Node counted ${result.counted}`,
  )
  assert.deepEqual([result.heldByApplication, result.heldAtEnd, result.sameInstance], [1, 1, true])
})

test('a worker thread is answered while the thread pool of the process is full', async () => {
  interface InWorker {
    way: string
    first: string
    rssBytes: number
    hashed: number
  }
  const { result, stderr } = await runFixture<InWorker>('in-a-worker.js')
  assert.deepEqual([result.way, result.first], ['pidusage', 'undefined'])
  assert.ok(result.rssBytes > 10_000_000)
  assert.ok(result.hashed < 12, 'the readings waited for the pool')
  assert.equal(stderr, '')
})

test('no descriptor left: that reading fails, the next ones do not', async () => {
  const { result } = await runFixture('no-descriptor-left.js', { descriptors: 60 })
  assert.deepEqual(result, {
    before: 'number',
    starved: { cpu: 'EMFILE', memory: 'EMFILE', others: 'EMFILE' },
    afresh: 'undefined',
    after: 'number',
    memory: 'number',
    others: 2,
  })
})

test('without permission to read /proc: Node, with the reason', async () => {
  const flag = Number(process.versions.node.split('.')[0]) < 22 ? '--experimental-permission' : '--permission'
  const { result } = await runFixture<{ way: string; reason: string; rssBytes: number }>('choose.js', {
    nodeArgs: [flag, `--allow-fs-read=${process.cwd()}/`],
  })
  assert.equal(result.way, 'node')
  assert.match(result.reason, /pidusage cannot read \/proc here: .*restricted/)
  assert.ok(result.rssBytes > 10_000_000)
})
