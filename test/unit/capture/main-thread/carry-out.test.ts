import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import {
  existsSync,
  linkSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import type { Engines } from '../../../../src/capture/engines'
import { loadForkHelper } from '../../../../src/capture/heap/fork/helper'
import { createOrders, ordersDuring, runOrder } from '../../../../src/capture/main-thread/carry-out'
import { createDirectMainThread } from '../../../../src/capture/main-thread/direct'
import { openArtefact } from '../../../../src/files/artefact'
import type { MarkedFile } from '../../../../src/files/disk'
import { jobIn } from '../scripted-main-thread'

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
exports.paths = []
exports.writeSnapshot = (file, done) => {
  exports.paths.push(file)
  if (exports.answer === 'silent') return
  if (exports.answer === 'full') return done(new Error('heapdump write error ENOSPC'))
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

  const BEFORE = 'longer than what will be written'
  const created = (name: string): MarkedFile => {
    const file = join(directory, name)
    writeFileSync(file, BEFORE)
    const { dev, ino } = statSync(file, { bigint: true })
    return { file, mark: { inode: `${dev}:${ino}`, mode: 0o600 } }
  }

  it('travel as JSON: output, or the message of the error', () => {
    const orders = createOrders(NO_PACKAGES)
    assert.equal(runOrder(orders, 'stopSampling', '{}'), '{"output":{}}')
    const heap = JSON.parse(runOrder(orders, 'heapStatistics', '{}')) as { output: Record<string, number> }
    assert.ok((heap.output['usedBytes'] ?? 0) > 0)
    assert.deepEqual(JSON.parse(runOrder(orders, 'loadPackage', '{"kind":"cpu"}')), {
      error: 'no package for cpu dumps',
    })
  })

  it('never throw across threads, whatever comes', () => {
    const orders = createOrders(NO_PACKAGES)
    assert.match(runOrder(orders, 'toString', '{}'), /unknown request to the main thread: toString/)
    assert.match(runOrder(orders, '__proto__', '{}'), /unknown request/)
    assert.match(runOrder(orders, 'heapSnapshot', 'not JSON'), /"error"/)
  })

  it('record a CPU profile with the package, in the modern format, and let V8 forget it', () => {
    const orders = createOrders(engines)
    const target = created('a.cpuprofile.partial')
    orders.startPackageProfile({ title: 'ours', samplingIntervalUs: 1000 })
    const { pauseMs, writtenBytes } = orders.stopPackageProfile({ title: 'ours', target })
    assert.ok(pauseMs >= 0)
    assert.deepEqual(JSON.parse(readFileSync(target.file, 'utf8')), { title: 'ours' })
    assert.equal(writtenBytes, statSync(target.file).size)
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

  /** Ways in which another user changes what the name of a target leads to. */
  const REPLACED: Readonly<Record<string, (file: string) => void>> = {
    'a symlink': (file) => symlinkSync(created('precious').file, file),
    'another file': (file) => void created(basename(file)),
    'a FIFO': (file) => void execFileSync('mkfifo', [file]),
    nothing: () => undefined,
  }
  for (const [what, replace] of Object.entries(REPLACED)) {
    it(`write nothing, and do not wait, where ${what} has taken the place of the file`, () => {
      const orders = createOrders(engines)
      const target = created('a.partial')
      // Its inode is not used again, as while the dispatcher has it open.
      linkSync(target.file, join(directory, 'held'))
      rmSync(target.file)
      replace(target.file)
      orders.startPackageProfile({ title: 'ours', samplingIntervalUs: 1000 })
      const refused = /no longer the file|ELOOP|ENOENT/
      assert.throws(() => orders.stopPackageProfile({ title: 'ours', target }), refused)
      for (const way of ['v8', 'heapdump'] as const)
        assert.throws(() => orders.heapSnapshot({ way, target }), refused)
      for (const name of ['held', 'precious', 'a.partial']) {
        const file = join(directory, name)
        if (statSync(file, { throwIfNoEntry: false })?.isFile())
          assert.equal(readFileSync(file, 'utf8'), BEFORE)
      }
    })
  }

  it(
    'have heapdump and V8 write through the open file, not by its name',
    { skip: !existsSync('/proc') },
    () => {
      const orders = createOrders(engines)
      const target = created('a.heapsnapshot.partial')
      const heapdump = createRequire(__filename)(join(directory, 'heapdump.js')) as { paths: string[] }
      orders.heapSnapshot({ way: 'heapdump', target })
      assert.match(heapdump.paths[0] ?? '', /^\/proc\/self\/fd\/\d+$/)
      assert.equal(readFileSync(target.file, 'utf8'), 'snapshot')
      orders.heapSnapshot({ way: 'v8', target })
      assert.match(readFileSync(target.file, 'utf8'), /^\{"snapshot".*"\]\}$/s)
    },
  )

  it('report a failure of heapdump, and its silence', () => {
    const orders = createOrders(engines)
    const heapdump = createRequire(__filename)(join(directory, 'heapdump.js')) as { answer: string }
    heapdump.answer = 'full'
    assert.throws(() => orders.heapSnapshot({ way: 'heapdump', target: created('a') }), /ENOSPC/)
    heapdump.answer = 'silent'
    assert.throws(
      () => orders.heapSnapshot({ way: 'heapdump', target: created('b') }),
      /without calling its callback/,
    )
  })

  it('fork nothing when the file has gone, because the request was given up then', () => {
    const orders = createOrders(engines)
    const { sidecar } = jobIn(directory, 'memory')
    const open = openArtefact(directory, 'memory-1-1.heapsnapshot', sidecar)
    open.abandon()
    const options = { dataAllowanceBytes: 1, deadlineSeconds: 1, niceness: 1, firstForOomKiller: true }
    const input = { snapshot: open.partial, passedOver: [], pausedBeforeMs: 0, options }
    if ('helper' in loadForkHelper())
      assert.match(JSON.stringify(orders.forkHeapDump(input)), /target file is gone/)
    else assert.throws(() => orders.forkHeapDump(input))
    assert.deepEqual(readdirSync(directory).sort(), ['heapdump.js', 'profiler.js'])
  })

  it('reject, on the main thread itself, with what they throw', async () => {
    const mainThread = createDirectMainThread(createOrders(NO_PACKAGES))
    assert.deepEqual(await mainThread.order('stopSampling', {}), {})
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
    assert.deepEqual(during.stopSampling({}), {})
    assert.throws(() => during.loadPackage({ kind: 'cpu' }), /no package/)
    assert.match(runOrder(during, 'heapStatistics', '{}'), /"usedBytes":\d+/)
    assert.match(runOrder(during, 'toString', '{}'), /unknown request/)
    assert.deepEqual(log, ['begins', 'ends', 'begins', 'ends', 'begins', 'ends'])
  })
})
