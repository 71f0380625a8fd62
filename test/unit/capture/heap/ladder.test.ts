import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { after, afterEach, beforeEach, describe, it, type TestContext } from 'node:test'
import { Worker } from 'node:worker_threads'
import type { Captured, Plan, Refusal } from '../../../../src/capture/capture'
import type { ForkHelper } from '../../../../src/capture/heap/fork/helper'
import { createHeapCapturer } from '../../../../src/capture/heap/ladder'
import { openLocalSession } from '../../../../src/capture/main-thread/local-session'
import { ORDER_TIMEOUT_MS } from '../../../../src/capture/main-thread/patient'
import { captured, jobIn, listener, roomy, scriptedMainThread } from '../scripted-main-thread'

const PACKAGE = { package: { name: 'heapdump', file: '/nowhere' }, passedOver: [] }
const NONE = { passedOver: [{ way: 'heapdump', why: 'not installed' }] }
/** In-place ways alone, as on systems without fork. */
const NO_HELPER = { unavailable: 'not on this system' }
const NOT_FORKED = { way: 'fork', why: 'not on this system' }
const MIB = 1024 * 1024

describe('heap capturer', () => {
  // A capture's timers keep no thread alive, and so not this one either.
  const keepAlive = setInterval(() => {}, 1000)
  after(() => clearInterval(keepAlive))
  let directory = ''
  beforeEach(() => (directory = mkdtempSync(join(tmpdir(), 'cmm-heap-'))))
  afterEach(() => rmSync(directory, { recursive: true, force: true }))

  interface Case {
    readonly script?: Parameters<typeof scriptedMainThread>[0]
    readonly engine?: typeof PACKAGE | typeof NONE
    readonly sampling?: boolean
    readonly probe?: ReturnType<typeof roomy>
    readonly fork?: typeof NO_HELPER | { readonly helper: ForkHelper }
    readonly noInspector?: string
  }
  const capturerFor = ({
    script,
    engine = NONE,
    sampling = true,
    probe = roomy(),
    fork = NO_HELPER,
    noInspector,
  }: Case) => {
    const observer = listener()
    const { mainThread, log } = scriptedMainThread(script)
    const capturer = createHeapCapturer({
      ...{ mainThread, engine, probe, observer, sampling, fork, noInspector },
    })
    return { capturer, mainThread, log, said: observer.said }
  }
  const take = async (one: Case) => {
    const made = capturerFor(one)
    const plan = (await made.capturer.plan(directory)) as Plan
    const taken = await plan.take(jobIn(directory, 'memory'), AbortSignal.abort())
    return { ...made, plan, captured: captured(taken) }
  }
  const wayAndFiles = ({ way }: Captured) => ({ way, files: readdirSync(directory).length })
  const failing = (message: string) => (): never => {
    throw new Error(message)
  }

  it('writes the profile first, then the snapshot, and adds up what they cost', async () => {
    const { captured, log } = await take({ engine: PACKAGE })
    assert.deepEqual(wayAndFiles(captured), { way: 'heapdump', files: 4 })
    assert.equal(captured.pauseMs, 7)
    assert.deepEqual(captured.passedOver, [NOT_FORKED])
    assert.ok(log.indexOf('samplingProfile') < log.indexOf('heapSnapshot'))
  })

  it('does not sample where the inspector is refused, and says so without a failure; the snapshot comes', async () => {
    const noInspector = 'refused on purpose'
    const { captured, capturer, log, said } = await take({ noInspector })
    assert.deepEqual(wayAndFiles(captured), { way: 'v8', files: 2 })
    assert.ok(!log.includes('startSampling'))
    assert.deepEqual(said, [])
    assert.deepEqual(capturer.ways().available, ['v8'])
    const ofSampling = ({ passedOver }: ReturnType<typeof capturer.ways>) =>
      passedOver.filter(({ way }) => way === 'sampling')
    assert.deepEqual(ofSampling(capturer.ways()), [{ way: 'sampling', why: noInspector }])
    const { capturer: unasked } = capturerFor({ noInspector, sampling: false })
    assert.deepEqual(ofSampling(unasked.ways()), [])
  })

  it('takes V8 when heapdump does not load, and says why', async () => {
    const { captured } = await take({ engine: PACKAGE, script: { loadPackage: failing('other ABI') } })
    assert.equal(captured.way, 'v8')
    assert.deepEqual(captured.passedOver, [NOT_FORKED, { way: 'heapdump', why: 'other ABI' }])
  })

  it('does not try a failed snapshot again the other way; the profile is kept beside the failure', async () => {
    const { captured, log } = await take({ engine: PACKAGE, script: { heapSnapshot: failing('ENOSPC') } })
    assert.deepEqual(wayAndFiles(captured), { way: 'sampling', files: 2 })
    assert.match(captured.failure?.message ?? '', /ENOSPC/)
    assert.equal(log.filter((order) => order === 'heapSnapshot').length, 1)
  })

  it('does not take a snapshot for whole that is empty', async () => {
    const heapSnapshot = () => ({ pauseMs: 1 })
    await assert.rejects(take({ sampling: false, script: { heapSnapshot } }), /is incomplete/)
    assert.deepEqual(readdirSync(directory), [])
  })

  it('has the snapshot alone when the profile fails', async () => {
    const { captured } = await take({ script: { samplingProfile: failing('ENOSPC') } })
    assert.equal(captured.artefacts.length, 1)
    assert.match(captured.passedOver.at(-1)?.why ?? '', /ENOSPC/)
  })

  it('takes other names where all its names are taken, and touches no file there', async () => {
    const taken = ['memory-1-1.heapprofile', 'memory-1-1.heapsnapshot', 'memory-1-1-2.heapsnapshot']
    for (const name of taken) writeFileSync(join(directory, name), 'theirs')
    const { captured } = await take({})
    assert.deepEqual(
      captured.artefacts.map(({ file }) => file),
      ['memory-1-1-3.heapsnapshot', 'memory-1-1-2.heapprofile'].map((name) => join(directory, name)),
    )
    for (const name of taken) assert.equal(readFileSync(join(directory, name), 'utf8'), 'theirs')
  })

  it('creates the directory itself, so that a dump may come before anything else has', async () => {
    const inner = join(directory, 'not', 'there')
    const { capturer } = capturerFor({})
    const plan = (await capturer.plan(inner)) as Plan
    const { artefacts } = captured(await plan.take(jobIn(inner, 'memory'), AbortSignal.abort()))
    assert.equal(artefacts.length, 2)
  })

  it('reports how late the main thread took the first order, and says nothing of a prompt one', async () => {
    const { mainThread } = scriptedMainThread()
    const late: typeof mainThread = {
      ...mainThread,
      async order(name, input) {
        if (name === 'heapStatistics') await new Promise((later) => setTimeout(later, ORDER_TIMEOUT_MS + 50))
        return mainThread.order(name, input)
      },
    }
    const parts = { engine: NONE, probe: roomy(), observer: listener(), sampling: false, fork: NO_HELPER }
    for (const [each, isLate] of [
      [late, true],
      [mainThread, false],
    ] as const) {
      const capturer = createHeapCapturer({ ...parts, mainThread: each })
      const plan = (await capturer.plan(directory)) as Plan
      const { lateMs } = captured(await plan.take(jobIn(directory, 'memory'), AbortSignal.abort()))
      assert.equal((lateMs ?? 0) > ORDER_TIMEOUT_MS, isLate)
    }
  })

  it('has the snapshot alone, and says why, when nothing was sampled', async () => {
    const samplingProfile = () => ({ pauseMs: 0, samples: 0, writtenBytes: 0, sampler: 'ours' as const })
    const { captured } = await take({ script: { samplingProfile } })
    assert.deepEqual(wayAndFiles(captured), { way: 'v8', files: 2 })
    assert.match(captured.passedOver.at(-1)?.why ?? '', /no samples/)
  })

  it('says once that sampling cannot start, and goes on without', async () => {
    const { captured, said, capturer } = await take({ script: { startSampling: failing('no inspector') } })
    assert.deepEqual(said, ['sampling failed: no inspector'])
    assert.equal(captured.artefacts.length, 1)
    assert.deepEqual(captured.passedOver.at(-1), { way: 'sampling', why: 'no inspector' })
    await capturer.close()
  })

  it('says once, not at every dump, that another user stops the sampler', async () => {
    const samplingProfile = () => ({ pauseMs: 0, samples: 0, writtenBytes: 0, sampler: 'stopped' as const })
    const { said, log, capturer } = await take({ script: { samplingProfile } })
    const again = (await capturer.plan(directory)) as Plan
    await again.take({ ...jobIn(directory, 'memory'), baseName: 'memory-1-2' }, AbortSignal.abort())
    assert.deepEqual(said, ['sampling was stopped'])
    assert.equal(log.filter((order) => order === 'startSampling').length, 3)
  })

  it('gives the profile alone, with the refusal, when a snapshot does not fit', async () => {
    const { plan, captured } = await take({ probe: roomy(1e12, 10 * MIB) })
    assert.equal(plan.refusal?.skip, 'memory')
    assert.deepEqual(wayAndFiles(captured), { way: 'sampling', files: 2 })
    assert.match(
      captured.passedOver.at(-1)?.why ?? '',
      /^needs [\d.]+MB of memory, 0B available beside the reserve$/,
    )
  })

  it('counts the file too where it is written to memory', async () => {
    // Enough for the snapshot of such a heap and the reserve, and not for its file as well.
    const availableBytes = 1638 * MIB + 96 * MIB
    const onDisk = await take({ probe: roomy(1e12, availableBytes) })
    assert.equal(onDisk.captured.way, 'v8')
    for (const name of readdirSync(directory)) rmSync(join(directory, name))
    const inMemory = await take({ probe: roomy(1e12, availableBytes, true) })
    assert.deepEqual([inMemory.captured.way, inMemory.plan.refusal?.skip], ['sampling', 'memory'])
  })

  it('refuses, with the numbers, when a snapshot does not fit and nothing was sampled either', async () => {
    const samplingProfile = () => ({ pauseMs: 0, samples: 0, writtenBytes: 0, sampler: 'ours' as const })
    const { capturer } = capturerFor({ probe: roomy(1e12, 10 * MIB), script: { samplingProfile } })
    const plan = (await capturer.plan(directory)) as Plan
    const taken = await plan.take(jobIn(directory, 'memory'), AbortSignal.abort())
    assert.deepEqual(taken, plan.refusal)
    assert.deepEqual(readdirSync(directory), [])
  })

  it('refuses for memory without sampling, and for the disk before it looks at memory', async () => {
    const memory = (await capturerFor({ sampling: false, probe: roomy(1e12, 0) }).capturer.plan(
      '/',
    )) as Refusal
    assert.equal(memory.skip, 'memory')
    assert.ok((memory.numbers['needBytes'] ?? 0) > 0)
    const disk = (await capturerFor({ probe: roomy(256 * MIB, 0) }).capturer.plan('/')) as Refusal
    assert.equal(disk.skip, 'disk')
  })

  it('does not refuse when there is room for both', async () => {
    const plan = await capturerFor({}).capturer.plan('/')
    assert.ok('take' in plan)
    assert.equal(plan.refusal, undefined)
  })

  describe('with the heap of a worker', () => {
    const job = () => ({ ...jobIn(directory, 'memory'), worker: { id: 0, name: 'cache' } })
    const withWorker = async (t: TestContext, one: Case) => {
      const worker = new Worker('setInterval(() => {}, 1000)', { eval: true, name: 'cache' })
      t.after(() => worker.terminate())
      await once(worker, 'online')
      const made = capturerFor(one)
      made.mainThread.connect = openLocalSession
      const plan = (await made.capturer.plan(directory)) as Plan
      const taking = plan.take({ ...job(), worker: { id: worker.threadId, name: 'cache' } }, unending)
      return { ...made, taking, file: `memory-1-1-worker-${worker.threadId}.heapsnapshot` }
    }
    const unending = new AbortController().signal
    const namesOf = ({ artefacts }: Captured) => artefacts.map(({ file }) => basename(file))

    it('puts the worker first, and keeps the way and the pause of the main thread', async (t) => {
      const { taking, file } = await withWorker(t, {})
      const both = captured(await taking)
      assert.deepEqual(namesOf(both), [file, 'memory-1-1.heapsnapshot', 'memory-1-1.heapprofile'])
      assert.deepEqual([both.way, both.pauseMs, both.failure, both.refusal], ['v8', 7, undefined, undefined])
    })

    it('keeps the worker when the main thread fails', async (t) => {
      const script = { heapSnapshot: failing('ENOSPC') }
      const { taking, file } = await withWorker(t, { sampling: false, script })
      const { failure, ...rest } = captured(await taking)
      assert.deepEqual(namesOf({ ...rest }), [file])
      assert.match(failure?.message ?? '', /ENOSPC/)
    })

    it('keeps the main thread when the worker fails, and fails when both do', async () => {
      const [good, bad] = [capturerFor({ sampling: false }), { heapSnapshot: failing('ENOSPC') }]
      const take = async ({ capturer, mainThread }: ReturnType<typeof capturerFor>) => {
        mainThread.connect = openLocalSession
        return ((await capturer.plan(directory)) as Plan).take(job(), unending)
      }
      const main = captured(await take(good))
      assert.deepEqual(namesOf(main), ['memory-1-1.heapsnapshot'])
      assert.match(main.failure?.message ?? '', /worker 0: the worker has ended/)
      await assert.rejects(take(capturerFor({ sampling: false, script: bad })), /ENOSPC/)
    })

    it('leaves the worker alone when the dump was ended early', async () => {
      const { capturer, log } = capturerFor({ sampling: false })
      const plan = (await capturer.plan(directory)) as Plan
      const main = captured(await plan.take(job(), AbortSignal.abort()))
      assert.deepEqual([namesOf(main), main.failure], [['memory-1-1.heapsnapshot'], undefined])
      assert.ok(!log.includes('connect'))
    })

    it('hands out what the main thread has left to a process that exits meanwhile, and nothing before or after', async () => {
      const { capturer, mainThread } = capturerFor({ sampling: false })
      const early = new AbortController()
      let atExit: Captured | undefined
      mainThread.connect = () => {
        atExit = capturer.endNow?.(() => false)
        throw new Error('no session')
      }
      const plan = (await capturer.plan(directory)) as Plan
      assert.equal(
        capturer.endNow?.(() => false),
        undefined,
      )
      await plan.take(job(), early.signal)
      assert.deepEqual(atExit && namesOf(atExit), ['memory-1-1.heapsnapshot'])
      assert.equal(
        capturer.endNow?.(() => false),
        undefined,
      )
    })
  })

  it('stops the sampler once at close, and never starts one with sampling off', async () => {
    const on = capturerFor({})
    await Promise.all([on.capturer.close(), on.capturer.close()])
    assert.deepEqual(on.log, ['startSampling', 'stopSampling'])
    assert.deepEqual(on.capturer.ways().available, ['v8', 'sampling'])
    const off = capturerFor({ sampling: false })
    await off.capturer.close()
    assert.deepEqual(off.log, [])
    assert.deepEqual(off.capturer.ways().available, ['v8'])
  })
})
