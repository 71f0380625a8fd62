import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, afterEach, beforeEach, describe, it } from 'node:test'
import type { Plan } from '../../../../src/capture/capture'
import type { Sidecar } from '../../../../src/files/sidecar'
import { createCpuCapturer, PROFILE_FILE_BYTES } from '../../../../src/capture/cpu/capturer'
import { captured, CPU_PROFILE, jobIn, listener, roomy, scriptedMainThread } from '../scripted-main-thread'

const PACKAGE = { package: { name: 'v8-profiler-next', file: '/nowhere' }, passedOver: [] }
const NONE = { passedOver: [{ way: 'v8-profiler-next', why: 'not installed' }] }
const LATER = new AbortController().signal

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
    { rule = 'manual', isStuck = false }: { rule?: 'manual' | 'blocked'; isStuck?: boolean } = {},
  ) => {
    const { mainThread, log } = scriptedMainThread(script)
    if (isStuck) mainThread.turn = () => new Promise(() => {})
    let cpuMs = 0
    const capturer = createCpuCapturer({
      ...{ mainThread, engine, probe: roomy(), observer: listener() },
      mainThreadCpuMs: () => (cpuMs += 100),
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
    const capturer = createCpuCapturer({ mainThread, engine: NONE, probe: roomy(), observer: listener() })
    await assert.rejects(capturer.plan(directory), /ENOTDIR/)
    assert.deepEqual(log, [])
  })

  it('creates the directory itself, so that a dump may come before anything else has', async () => {
    const { mainThread } = scriptedMainThread()
    const capturer = createCpuCapturer({ mainThread, engine: NONE, probe: roomy(), observer: listener() })
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
