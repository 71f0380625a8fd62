import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import type { Engines } from '../../dist/capture/engines'
import { createDirectMainThread } from '../../dist/capture/direct-main-thread'
import { loadForkHelper } from '../../dist/capture/fork-helper'
import { createOrders, ordersDuring, runOrder } from '../../dist/capture/orders'
import { openArtefact } from '../../dist/files/open-artefact'
import { jobIn } from './scripted-main-thread'

const NO_PACKAGES: Engines = { cpu: { passedOver: [] }, memory: { passedOver: [] }, leak: { passedOver: [] } }

/** Stands for v8-profiler-next: the profile is a plain object, and every call is kept. */
const FAKE_PROFILER = `
const calls = []
let running = []
module.exports = {
  calls,
  setGenerateType: (type) => calls.push('type ' + type),
  setSamplingInterval: (us) => {
    if (running.length) throw new Error('profiles being recorded')
    calls.push('interval ' + us)
  },
  startProfiling: (title, samples) => { running.push(title); calls.push('start ' + title + ' ' + samples) },
  stopProfiling: (title) => {
    if (!running.includes(title)) return undefined
    running = running.filter((other) => other !== title)
    return { title, delete: () => calls.push('delete ' + title) }
  },
}`

const FAKE_HEAPDUMP = `
exports.writeSnapshot = (file, done) => {
  if (file.endsWith('silent')) return
  if (file.endsWith('full')) return done(new Error('heapdump write error ENOSPC'))
  require('fs').writeFileSync(file, 'snapshot')
  done(null, file)
}`

describe('orders', () => {
  let directory = ''
  let engines = NO_PACKAGES
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'cmm-orders-'))
    writeFileSync(join(directory, 'profiler.js'), FAKE_PROFILER)
    writeFileSync(join(directory, 'heapdump.js'), FAKE_HEAPDUMP)
    engines = {
      ...NO_PACKAGES,
      cpu: { package: { name: 'v8-profiler-next', file: join(directory, 'profiler.js') }, passedOver: [] },
      memory: { package: { name: 'heapdump', file: join(directory, 'heapdump.js') }, passedOver: [] },
    }
  })
  afterEach(() => rmSync(directory, { recursive: true, force: true }))

  const created = (name: string): string => {
    const file = join(directory, name)
    writeFileSync(file, 'longer than what will be written')
    return file
  }

  it('travel as JSON: output, or the message of the error', () => {
    const orders = createOrders(NO_PACKAGES)
    assert.equal(runOrder(orders, 'ping', '{}'), '{"output":{}}')
    const heap = JSON.parse(runOrder(orders, 'heapStatistics', '{}')) as { output: Record<string, number> }
    assert.ok((heap.output['usedBytes'] ?? 0) > 0)
    assert.deepEqual(JSON.parse(runOrder(orders, 'loadPackage', '{"kind":"cpu"}')), {
      error: 'no package for cpu dumps',
    })
  })

  it('never throw across threads, whatever comes', () => {
    const orders = createOrders(NO_PACKAGES)
    assert.match(runOrder(orders, 'toString', '{}'), /no such order: toString/)
    assert.match(runOrder(orders, '__proto__', '{}'), /no such order/)
    assert.match(runOrder(orders, 'heapSnapshot', 'not JSON'), /"error"/)
  })

  it('record a CPU profile with the package, in the modern format, and let V8 forget it', () => {
    const orders = createOrders(engines)
    const file = created('a.cpuprofile.partial')
    orders.startPackageProfile({ title: 'ours', samplingIntervalUs: 1000 })
    const { pauseMs } = orders.stopPackageProfile({ title: 'ours', file })
    assert.ok(pauseMs >= 0)
    assert.deepEqual(JSON.parse(readFileSync(file, 'utf8')), { title: 'ours' })
    const { calls } = createRequire(__filename)(join(directory, 'profiler.js')) as { calls: string[] }
    assert.deepEqual(calls, ['interval 1000', 'start ours true', 'type 1', 'delete ours'])
  })

  it('leave a profile that somebody else records with the package alone', () => {
    const orders = createOrders(engines)
    orders.startPackageProfile({ title: 'theirs', samplingIntervalUs: 1000 })
    assert.throws(
      () => orders.startPackageProfile({ title: 'ours', samplingIntervalUs: 10 }),
      /being recorded/,
    )
    assert.throws(() => orders.stopPackageProfile({ title: 'ours' }), /no CPU profile named ours/)
    orders.stopPackageProfile({ title: 'theirs' })
  })

  it('write through no symlink that took the place of the file', () => {
    const orders = createOrders(engines)
    const target = created('precious')
    const file = join(directory, 'planted')
    symlinkSync(target, file)
    orders.startPackageProfile({ title: 'ours', samplingIntervalUs: 1000 })
    assert.throws(() => orders.stopPackageProfile({ title: 'ours', file }), { code: 'ELOOP' })
    assert.equal(readFileSync(target, 'utf8'), 'longer than what will be written')
  })

  it('write a snapshot with heapdump, and take its word when it fails or says nothing', () => {
    const orders = createOrders(engines)
    const file = created('a.heapsnapshot.partial')
    orders.heapSnapshot({ way: 'heapdump', file })
    assert.equal(readFileSync(file, 'utf8'), 'snapshot')
    assert.throws(() => orders.heapSnapshot({ way: 'heapdump', file: created('full') }), /ENOSPC/)
    assert.throws(
      () => orders.heapSnapshot({ way: 'heapdump', file: created('silent') }),
      /did not call back/,
    )
  })

  it('write nothing when the file has gone, for then nobody waits any more', async () => {
    const orders = createOrders(engines)
    const file = join(directory, 'gone.heapsnapshot.partial')
    for (const way of ['v8', 'heapdump'] as const)
      assert.throws(() => orders.heapSnapshot({ way, file }), /given up/)
    const { sidecar } = jobIn(directory, 'memory')
    const open = await openArtefact(directory, 'memory-1-1.heapsnapshot', sidecar)
    await open.abandon()
    const options = { dataAllowanceBytes: 1, deadlineSeconds: 1, niceness: 1, firstForOomKiller: true }
    const input = { snapshot: open.partial, passedOver: [], pausedBeforeMs: 0, options }
    const why = 'helper' in loadForkHelper() ? /given up/ : /./
    assert.throws(() => orders.forkHeapDump(input), why)
    assert.deepEqual(readdirSync(directory).sort(), ['heapdump.js', 'profiler.js'])
  })

  it('reject, on the main thread itself, with what they throw', async () => {
    const mainThread = createDirectMainThread(createOrders(NO_PACKAGES))
    assert.deepEqual(await mainThread.order('ping', {}), {})
    await assert.rejects(mainThread.order('loadPackage', { kind: 'memory' }), /no package for memory dumps/)
  })

  it('are the same within another call, which sees each begin and end', () => {
    const log: string[] = []
    const during = ordersDuring(createOrders(NO_PACKAGES), (order) => {
      log.push('begins')
      try {
        return order()
      } finally {
        log.push('ends')
      }
    })
    assert.deepEqual(during.ping({}), {})
    assert.throws(() => during.loadPackage({ kind: 'cpu' }), /no package/)
    assert.match(runOrder(during, 'heapStatistics', '{}'), /"usedBytes":\d+/)
    assert.match(runOrder(during, 'toString', '{}'), /no such order/)
    assert.deepEqual(log, ['begins', 'ends', 'begins', 'ends', 'begins', 'ends'])
  })
})
