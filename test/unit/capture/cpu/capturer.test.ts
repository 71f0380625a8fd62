import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { after, afterEach, beforeEach, describe, it } from 'node:test'
import type { Plan } from '../../../../src/capture/capture'
import { createCpuCapturer, PROFILE_FILE_BYTES } from '../../../../src/capture/cpu/capturer'
import type { RunningWorkerProfiles, WorkerProfile } from '../../../../src/capture/threads/worker-profiles'
import type { Sidecar } from '../../../../src/files/sidecar'
import { captured, CPU_PROFILE, jobIn, listener, roomy, scriptedMainThread } from '../scripted-main-thread'

const PACKAGE = { package: { name: 'v8-profiler-next', file: '/nowhere' }, passedOver: [] }
const NONE = { passedOver: [{ way: 'v8-profiler-next', why: 'not installed' }] }
const LATER = new AbortController().signal
/** No workers. */
const startWorkers = (): RunningWorkerProfiles => ({
  stop: () => Promise.resolve({ profiles: [], notes: [] }),
  abandon: () => undefined,
})

interface Circumstances {
  readonly rule?: 'manual' | 'blocked'
  readonly isStuck?: boolean
  readonly workers?: typeof startWorkers
  /** CPU time of the main thread from one reading to the next, ms. */
  readonly mainCpuMs?: number
}

describe('CPU capturer', () => {
  // A capture's timers keep no thread alive, and so not this one either.
  const keepAlive = setInterval(() => {}, 1000)
  after(() => clearInterval(keepAlive))
  let directory = ''
  beforeEach(() => (directory = mkdtempSync(join(tmpdir(), 'cmm-cpu-'))))
  afterEach(() => rmSync(directory, { recursive: true, force: true }))

  const capture = async (
    script: Parameters<typeof scriptedMainThread>[0],
    engine: typeof PACKAGE | typeof NONE,
    durationMs = 1,
    { rule = 'manual', isStuck = false, workers = startWorkers, mainCpuMs = 100 }: Circumstances = {},
  ) => {
    const { mainThread, log } = scriptedMainThread(script)
    if (isStuck) mainThread.turn = () => new Promise(() => {})
    let cpuMs = 0
    const capturer = createCpuCapturer({
      ...{ mainThread, engine, probe: roomy(), observer: listener(), startWorkers: workers },
      mainThreadCpuMs: () => (cpuMs += mainCpuMs),
    })
    const plan = (await capturer.plan(directory)) as Plan
    const { sidecar, ...job } = jobIn(directory, 'cpu')
    const why = { ...sidecar.why, rule }
    const taken = plan.take({ ...job, sidecar: { ...sidecar, why }, durationMs }, LATER)
    return { captured: taken.then(captured), log, capturer }
  }
  const HOUR_MS = 3_600_000
  /** When the profiler has been started and the first turn of the event loop after it has passed. */
  const recording = async (log: readonly string[]) => {
    while (!log.some((entry) => /Profiler.start|startPackageProfile/.test(entry)))
      await new Promise((later) => setTimeout(later, 1))
    await new Promise((later) => setTimeout(later, 1))
  }

  it('takes the package when there is one, and opens no session', async () => {
    const { captured, log, capturer } = await capture({}, PACKAGE)
    const { way, pauseMs, passedOver } = await captured
    assert.deepEqual({ way, pauseMs, passedOver }, { way: 'v8-profiler-next', pauseMs: 7, passedOver: [] })
    assert.deepEqual(log, ['startPackageProfile', 'stopPackageProfile'])
    assert.deepEqual(capturer.ways().available, ['v8-profiler-next', 'inspector'])
  })

  it('opens no session where the inspector is refused: it does not say that it could, and a dump fails with the reason', async () => {
    const { mainThread, log } = scriptedMainThread({})
    const refused = { probe: roomy(), observer: listener(), noInspector: 'refused on purpose' }
    const without = createCpuCapturer({ mainThread, engine: NONE, ...refused })
    const passedOver = [...NONE.passedOver, { way: 'inspector', why: 'refused on purpose' }]
    assert.deepEqual(without.ways(), { available: [], passedOver })
    const plan = (await without.plan(directory)) as Plan
    await assert.rejects(plan.take(jobIn(directory, 'cpu'), LATER), /inspector: refused on purpose/)
    assert.deepEqual([log, readdirSync(directory)], [[], []])
    const withPackage = createCpuCapturer({ mainThread, engine: PACKAGE, ...refused })
    assert.deepEqual(withPackage.ways().available, ['v8-profiler-next'])
  })

  it('takes the inspector when there is none, and disconnects', async () => {
    const { captured, log, capturer } = await capture({}, NONE)
    const { way, passedOver, artefacts } = await captured
    assert.equal(way, 'inspector')
    assert.deepEqual(passedOver, NONE.passedOver)
    assert.deepEqual(JSON.parse(readFileSync(artefacts[0].file, 'utf8')), CPU_PROFILE)
    assert.equal(log[0], 'connect')
    assert.equal(log.filter((entry) => entry === 'disconnect').length, 1)
    assert.ok(log.every((entry) => !entry.startsWith('Debugger')))
    assert.deepEqual(capturer.ways(), { available: ['inspector'], passedOver: NONE.passedOver })
  })

  it('passes a package over that does not load, with the reason', async () => {
    const startPackageProfile = (): never => {
      throw new Error('was compiled against a different Node.js version')
    }
    const { captured } = await capture({ startPackageProfile }, PACKAGE)
    const { way, passedOver, artefacts } = await captured
    assert.equal(way, 'inspector')
    assert.match(passedOver[0]?.why ?? '', /different Node/)
    assert.match(readFileSync(`${artefacts[0].file}.json`, 'utf8'), /different Node/)
  })

  it('does not begin anew another way when a profile fails at its end, and leaves no half file', async () => {
    const stopPackageProfile = (): never => {
      throw new Error('ENOSPC')
    }
    const { captured, log } = await capture({ stopPackageProfile }, PACKAGE)
    await assert.rejects(captured, /ENOSPC/)
    assert.ok(!log.includes('connect'))
    assert.deepEqual(readdirSync(directory), [])
  })

  it('does not start the profiler when the file cannot be created', async () => {
    rmSync(directory, { recursive: true })
    writeFileSync(directory, 'not a directory')
    const { mainThread, log } = scriptedMainThread()
    const capturer = createCpuCapturer({
      mainThread,
      engine: NONE,
      probe: roomy(),
      observer: listener(),
      startWorkers,
    })
    await assert.rejects(capturer.plan(directory), /ENOTDIR/)
    assert.deepEqual(log, [])
  })

  it('creates the directory itself, so that a dump may come before anything else has', async () => {
    const { mainThread } = scriptedMainThread()
    const capturer = createCpuCapturer({
      mainThread,
      engine: NONE,
      probe: roomy(),
      observer: listener(),
      startWorkers,
    })
    const inner = join(directory, 'not', 'there')
    const plan = (await capturer.plan(inner)) as Plan
    const { artefacts } = captured(await plan.take(jobIn(inner, 'cpu'), LATER))
    assert.equal(artefacts[0].file, join(inner, 'cpu-1-1.cpuprofile'))
  })

  it('writes a file of another name where its own is taken', async () => {
    const taken = join(directory, 'cpu-1-1.cpuprofile')
    writeFileSync(taken, 'theirs')
    const { captured } = await capture({}, NONE)
    assert.equal((await captured).artefacts[0].file, join(directory, 'cpu-1-1-2.cpuprofile'))
    assert.equal(readFileSync(taken, 'utf8'), 'theirs')
  })

  describe('with workers', () => {
    const worker = (id: number, name: string, busyMs: number): WorkerProfile => ({
      ...{ id, name, busyMs, profile: { ...CPU_PROFILE, startTime: id }, startedLateMs: 7 },
      discardedOptimizedCode: false,
    })
    const withProfiles = (...profiles: WorkerProfile[]): typeof startWorkers => {
      const notes = [{ id: 9, name: 'stuck', why: 'it did not answer' }]
      return () => ({ ...startWorkers(), stop: () => Promise.resolve({ profiles, notes }) })
    }
    const sidecarOf = (file: string) => JSON.parse(readFileSync(`${file}.json`, 'utf8')) as Sidecar

    it('puts the file of the thread that used the most CPU first, and each file says whose it is', async () => {
      const workers = withProfiles(worker(3, 'a/b', 5000), worker(4, '', 1))
      const { captured } = await capture({}, NONE, 1, { workers })
      const files = (await captured).artefacts.map(({ file }) => file)
      assert.deepEqual(
        files.map((file) => basename(file)),
        ['cpu-1-1-worker-3.cpuprofile', 'cpu-1-1.cpuprofile', 'cpu-1-1-worker-4.cpuprofile'],
      )
      const [first, main] = files.map(sidecarOf)
      assert.deepEqual(first?.thread, { kind: 'worker', id: 3, name: 'a/b' })
      assert.equal(first?.how.way, 'inspector')
      assert.equal(first?.how.notes?.['busyMs'], 5000)
      assert.deepEqual(main?.thread, { kind: 'main', id: 0, name: '' })
      assert.deepEqual(main?.how.notes?.['workers'], [{ id: 9, name: 'stuck', why: 'it did not answer' }])
      assert.equal((JSON.parse(readFileSync(files[0] ?? '', 'utf8')) as { startTime: number }).startTime, 3)
    })

    it('puts the main thread first when it used the most', async () => {
      const { captured } = await capture({}, NONE, 1, {
        ...{ workers: withProfiles(worker(3, '', 5000)), mainCpuMs: 60_000 },
      })
      assert.equal(basename((await captured).artefacts[0].file), 'cpu-1-1.cpuprofile')
    })

    it('a worker whose file cannot be written is a failure beside the others', async () => {
      const broken = worker(3, '', 5000)
      const { captured } = await capture({}, NONE, 1, {
        workers: withProfiles(
          { ...broken, profile: { ...broken.profile, endTime: 1n as never } },
          worker(4, '', 1),
        ),
      })
      const { artefacts, failure } = await captured
      assert.equal(artefacts.length, 2)
      assert.match(failure?.message ?? '', /worker 3/)
      assert.ok(readdirSync(directory).every((name) => !name.includes('worker-3')))
    })

    it('lets the workers go when the profile of the main thread fails', async () => {
      let abandoned = 0
      const stopPackageProfile = (): never => {
        throw new Error('ENOSPC')
      }
      const workers = () => ({ ...startWorkers(), abandon: () => abandoned++ })
      const { captured } = await capture({ stopPackageProfile }, PACKAGE, 1, { workers })
      await assert.rejects(captured, /ENOSPC/)
      assert.equal(abandoned, 1)
    })
  })

  for (const [way, engine] of [
    ['inspector', NONE],
    ['v8-profiler-next', PACKAGE],
  ] as const) {
    const forgets = /startPreciseCoverage|forgetOptimizedCode/
    const notesOf = (file: string): unknown => {
      const text = readFileSync(`${file}.json`, 'utf8')
      return (JSON.parse(text) as Sidecar).how.notes?.['discardedOptimizedCode']
    }

    it(`${way}: discards the optimized code of a main thread that does not return to its event loop`, async () => {
      const { captured, log } = await capture({}, engine, 200, { isStuck: true })
      const { artefacts } = await captured
      assert.equal(log.filter((entry) => forgets.test(entry)).length, 1)
      assert.equal(notesOf(artefacts[0].file), true)
    })

    it(`${way}: discards it at once in a blockage, and adds its pause`, async () => {
      const { captured, log } = await capture({}, engine, 1, { rule: 'blocked' })
      const { pauseMs, artefacts } = await captured
      assert.equal(log.filter((entry) => forgets.test(entry)).length, 1)
      assert.equal(notesOf(artefacts[0].file), true)
      if (way === 'v8-profiler-next') assert.equal(pauseMs, 13)
    })

    it(`${way}: keeps it while the event loop turns`, async () => {
      const { captured, log } = await capture({}, engine, 200)
      const { artefacts } = await captured
      assert.ok(!log.some((entry) => forgets.test(entry)))
      assert.equal(notesOf(artefacts[0].file), false)
    })

    it(`${way}: ends a profile within the call, whole, when the process exits`, async () => {
      const { capturer, captured, log } = await capture({}, engine, HOUR_MS)
      await recording(log)
      const ended = capturer.endNow?.(() => false)
      assert.equal(ended?.way, way)
      const { file } = ended.artefacts[0]
      assert.deepEqual(JSON.parse(readFileSync(file, 'utf8')), CPU_PROFILE)
      assert.deepEqual(readdirSync(directory).sort(), ['cpu-1-1.cpuprofile', 'cpu-1-1.cpuprofile.json'])
      assert.equal(await captured, ended)
      assert.equal(
        capturer.endNow?.(() => false),
        undefined,
        'nothing is left to end',
      )
    })
  }

  it('ends a profile within the call whose text was being written', async () => {
    const { capturer, captured, log } = await capture({}, NONE)
    while (!log.includes('Profiler.stop')) await new Promise((later) => setImmediate(later))
    const ended = capturer.endNow?.(() => false)
    assert.deepEqual(JSON.parse(readFileSync(ended?.artefacts[0].file ?? '', 'utf8')), CPU_PROFILE)
    await captured.catch(() => undefined)
    assert.deepEqual(readdirSync(directory).sort(), ['cpu-1-1.cpuprofile', 'cpu-1-1.cpuprofile.json'])
  })

  it('leaves a profile as it is when there is no time to end it', async () => {
    const { capturer, log } = await capture({}, NONE, HOUR_MS)
    await recording(log)
    assert.equal(
      capturer.endNow?.(() => true),
      undefined,
    )
    assert.ok(!log.includes('Profiler.stop'))
    assert.deepEqual(readdirSync(directory).sort(), ['cpu-1-1.cpuprofile.json', 'cpu-1-1.cpuprofile.partial'])
  })

  it('a profile that cannot be ended within the call is a failure, and leaves no half file', async () => {
    const stopPackageProfile = (): never => {
      throw new Error('ENOSPC')
    }
    const { capturer, captured, log } = await capture({ stopPackageProfile }, PACKAGE, HOUR_MS)
    await recording(log)
    assert.throws(() => capturer.endNow?.(() => false), /ENOSPC/)
    await assert.rejects(captured, /ENOSPC/)
    assert.deepEqual(readdirSync(directory), [])
  })

  it('refuses exactly when the disk has less than estimate and floor', async () => {
    const floorBytes = 256 * 1024 * 1024
    const { mainThread } = scriptedMainThread()
    const planWith = (freeBytes: number) =>
      createCpuCapturer({ mainThread, engine: NONE, probe: roomy(freeBytes), observer: listener() }).plan('/')
    const refusal = await planWith(PROFILE_FILE_BYTES + floorBytes - 1)
    assert.ok('skip' in refusal)
    assert.equal(refusal.skip, 'disk')
    assert.equal(refusal.numbers['floorBytes'], floorBytes)
    assert.ok('take' in (await planWith(PROFILE_FILE_BYTES + floorBytes)))
  })
})
