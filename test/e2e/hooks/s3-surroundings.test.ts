import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { closeSync, existsSync, openSync, readFileSync, rmSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import { tmpfs } from '../../unit/files/scratch'
import { scratch, startApp } from '../monitor/app'
import { keyOf, leave, noSwift, puts, road, SENDS, swiftOfSuite, until } from './bucket'

const HOUR_S = 3600

describe('uploads to a real S3 in bad surroundings', { skip: noSwift }, () => {
  const service = swiftOfSuite()
  const newBucket = () => service.newBucket()

  it('a disk that becomes full amid a part does no harm, and what was sent is found without the note', async (t) => {
    const disk = tmpfs(t, 24_000_000)
    if (!disk) return
    const [bucket, way, directory] = [await newBucket(), await road(t, service.swift.endpoint), disk.path]
    const name = leave(directory, { bytes: 20_000_000 })
    const filling = join(directory, 'filling')
    let isFull = false
    way.onRequest = (line, from) => {
      if (isFull || !line.startsWith('PUT')) return
      isFull = true
      from.once('data', () => fill(filling))
    }
    const start = () => startApp(t, SENDS, {}, { directory, args: [bucket.options(way.endpoint)] })
    const app = start()
    await app.until('line', ({ text }) => text.startsWith(`sent ${name}`))
    await app.order('stop')
    const failures = app.said('failure').filter(({ stage }) => stage === 'upload')
    assert.equal(failures.length, 1)
    assert.match(failures[0]?.message ?? '', /sent\.json cannot be written \(ENOSPC\): until it can/)
    assert.ok((await bucket.content(`${keyOf(name)}.gz`)).equals(readFileSync(join(directory, name))))
    way.requests.length = 0
    assert.ok(!existsSync(join(directory, '.cpu-memory-monitor-sent.json')), 'the disk was full')
    rmSync(filling)
    const other = leave(directory, { pid: 8, ms: 2000 })
    const next = start()
    await next.until('line', ({ text }) => text.startsWith(`sent ${other}`))
    await next.order('stop')
    assert.deepEqual(puts(way.requests, bucket), [`${keyOf(other)}.gz`, `${keyOf(other)}.json`])
    assert.equal((await bucket.keys()).length, 4)
  })

  it('a server that throttles for a moment is asked again, and is no failure', async (t) => {
    const [bucket, way] = [await newBucket(), await road(t, service.swift.endpoint)]
    const throttled: string[] = []
    way.onRequest = (line) => {
      way.isThrottled = throttled.length < 2
      if (way.isThrottled) throttled.push(line)
    }
    const app = startApp(t, SENDS, {}, { args: [bucket.options(way.endpoint)] })
    await app.order('dumpCpu', 20)
    await app.order('stop')
    assert.equal(throttled.length, 2)
    assert.equal((await bucket.keys()).length, 2)
    assert.deepEqual(app.said('failure'), [])
  })

  it('one that throttles for long is one failure, and has everything once it no longer does', async (t) => {
    const [bucket, way] = [await newBucket(), await road(t, service.swift.endpoint)]
    way.isThrottled = true
    const app = startApp(t, SENDS, {}, { args: [bucket.options(way.endpoint)] })
    await app.order('dumpCpu', 20)
    assert.match((await app.until('failure')).message, /^S3 does not answer or is busy \(503\)/)
    const asked = way.requests.length
    await until(() => way.requests.length > asked)
    way.isThrottled = false
    await app.until('line', ({ text }) => text.startsWith('sent manual-cpu-'))
    assert.equal(app.said('failure').length, 1)
    assert.equal((await bucket.keys()).length, 2)
  })

  it('a clock that steps amid a part is one failure at most, and all arrives whole', async (t) => {
    const clock = steppingClock(t)
    if (!clock) return
    const [bucket, way, directory] = [await newBucket(), await road(t, service.swift.endpoint), scratch(t)]
    const name = leave(directory, { bytes: 20_000_000 })
    let parts = 0
    way.onRequest = (line, from) => {
      if (line.startsWith('PUT') && ++parts === 1) from.once('data', () => clock.step(HOUR_S))
    }
    const options = { directory, args: [bucket.options(way.endpoint)], env: clock.env }
    const app = startApp(t, SENDS, {}, options)
    await app.until('line', ({ text }) => text.startsWith(`sent ${name}`))
    assert.ok((await bucket.content(`${keyOf(name)}.gz`)).equals(readFileSync(join(directory, name))))
    assert.ok(app.said('failure').length <= 1)
  })

  for (const how of ['', 'no thread'])
    it(`a clock that is wrong by an hour is no failure ${how}`, async (t) => {
      const clock = steppingClock(t)
      if (!clock) return
      const bucket = await newBucket()
      const options = { args: [bucket.options(service.swift.endpoint), how], env: clock.env }
      const app = startApp(t, SENDS, {}, options)
      for (const seconds of [HOUR_S, -HOUR_S]) {
        clock.step(seconds)
        const { file } = await app.order<{ file: string }>('dumpCpu', 20)
        // The twin of all other tests: names are made of the clock.
        const offMs = Number(/-(\d+)\.cpuprofile$/.exec(file)?.[1]) - Date.now()
        assert.ok(Math.abs(offMs) > (HOUR_S * 1000) / 2 || seconds < 0)
      }
      await app.order('stop')
      assert.equal((await bucket.keys()).length, 4)
      assert.deepEqual(app.said('failure'), [])
    })
})

/** Until nothing more fits. */
function fill(file: string): void {
  const fd = openSync(file, 'w')
  try {
    for (let bytes = 1024 * 1024; bytes >= 1;) {
      try {
        writeSync(fd, Buffer.alloc(bytes, 1))
      } catch {
        bytes = Math.floor(bytes / 2)
      }
    }
  } finally {
    closeSync(fd)
  }
}

/** A wall clock for one process, all of its threads included. `undefined`, and a skip, without a C compiler. */
function steppingClock(t: TestContext): { env: NodeJS.ProcessEnv; step(seconds: number): void } | undefined {
  const directory = scratch(t)
  const [library, file] = [join(directory, 'step-clock.so'), join(directory, 'step')]
  const { status, error } = spawnSync('cc', [
    '-shared',
    '-fPIC',
    '-o',
    library,
    join(__dirname, 'programs/step-clock.c'),
  ])
  if (status !== 0) {
    t.skip(`no C compiler, or not for Linux: ${error?.message ?? status}`)
    return undefined
  }
  const step = (seconds: number): void => {
    const bytes = Buffer.alloc(4)
    bytes.writeInt32LE(seconds)
    // In place: the process has it mapped.
    writeFileSync(file, bytes, { flag: 'r+' })
  }
  writeFileSync(file, Buffer.alloc(4))
  return { env: { LD_PRELOAD: library, CLOCK_STEP_FILE: file }, step }
}
