import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, afterEach, beforeEach, describe, it } from 'node:test'
import type { Plan } from '../../dist/capture/capture'
import { createCpuCapturer, PROFILE_FILE_BYTES } from '../../dist/capture/cpu-capturer'
import { captured, CPU_PROFILE, jobIn, listener, roomy, scriptedMainThread } from './scripted-main-thread'

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
  ) => {
    const { mainThread, log } = scriptedMainThread(script)
    const capturer = createCpuCapturer({ mainThread, engine, probe: roomy(), observer: listener() })
    const plan = (await capturer.plan(directory)) as Plan
    return { captured: plan.take(jobIn(directory, 'cpu'), LATER).then(captured), log, capturer }
  }

  it('takes the package when there is one, and opens no session', async () => {
    const { captured, log, capturer } = await capture({}, PACKAGE)
    const { way, pauseMs, passedOver } = await captured
    assert.deepEqual({ way, pauseMs, passedOver }, { way: 'v8-profiler-next', pauseMs: 7, passedOver: [] })
    assert.deepEqual(log, ['startPackageProfile', 'stopPackageProfile'])
    assert.deepEqual(capturer.ways().available, ['v8-profiler-next', 'inspector'])
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
    await capturer.close()
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

  it('does not start the profiler when the file cannot be created, and overwrites nothing', async () => {
    const taken = join(directory, 'cpu-1-1.cpuprofile')
    writeFileSync(taken, 'theirs')
    const { captured, log } = await capture({}, NONE)
    await assert.rejects(captured, /EEXIST/)
    assert.deepEqual(log, [])
    assert.equal(readFileSync(taken, 'utf8'), 'theirs')
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
