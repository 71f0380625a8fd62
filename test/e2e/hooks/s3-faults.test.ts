import assert from 'node:assert/strict'
import { once } from 'node:events'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { POWERLESS } from '../../tools/services/swift.mjs'
import { scratch, startApp } from '../monitor/app'
import { keyOf, leave, linesOf, noSwift, puts, road, SENDS, swiftOfSuite, until } from './bucket'

describe('uploads to a real S3 that fails', { skip: noSwift }, () => {
  const service = swiftOfSuite()
  const newBucket = (isThere?: boolean) => service.newBucket(isThere)

  it('a server that is killed amid a part is one failure, and has everything when it is back', async (t) => {
    const [bucket, way, directory] = [await newBucket(), await road(t, service.swift.endpoint), scratch(t)]
    const name = leave(directory, { bytes: 30_000_000 })
    let isKilled = false
    way.onRequest = (line, from) => {
      if (isKilled || !line.startsWith('PUT')) return
      from.once('data', () => {
        isKilled = true
        void service.swift.kill()
      })
    }
    const app = startApp(t, SENDS, {}, { directory, args: [bucket.options(way.endpoint)] })
    const failure = await app.until('failure')
    assert.equal(failure.stage, 'upload')
    assert.match(failure.message, /^S3 does not answer .*stay on disk$/)
    // Another attempt fails, and is not reported again.
    const requests = way.requests.length
    await until(() => way.requests.length > requests)
    assert.equal(typeof (await app.order<{ file: string }>('dumpCpu', 20)).file, 'string')
    await service.swift.start()
    await app.until('line', ({ text }) => text.startsWith('sent manual-cpu-'))
    await app.until('line', ({ text }) => text === 'uploads to S3 succeed again')
    assert.equal(app.said('failure').length, 1)
    const content = await bucket.content(`${keyOf(name)}.gz`)
    assert.ok(content.equals(readFileSync(join(directory, name))))
    assert.equal((await bucket.keys()).length, 4)
  })

  it('what keep deletes while S3 is away is one failure that names it, and none where nothing is sent', async (t) => {
    const bucket = await newBucket()
    for (const isSent of [true, false]) {
      const directory = scratch(t)
      const [first, second] = [1000, 2000, 3000].map((ms) => leave(directory, { ms }))
      const args = isSent ? [bucket.options('http://127.0.0.1:1')] : []
      const app = startApp(t, SENDS, { keep: 1 }, { directory, args })
      await app.order('dumpCpu', 20)
      await until(() => !existsSync(join(directory, second ?? '')))
      await app.order('stop')
      const lost = app.said('failure').filter(({ stage }) => stage === 'retention')
      assert.deepEqual(
        lost.map(({ message }) => message.split('; ')[0]),
        isSent
          ? [`2 unsent files were deleted in ${directory}, because the option keep is 1: ${first}, ${second}`]
          : [],
      )
    }
  })

  it('a process that is killed amid a part leaves the rest to the next start', async (t) => {
    const [bucket, way, directory] = [await newBucket(), await road(t, service.swift.endpoint), scratch(t)]
    const name = leave(directory, { bytes: 30_000_000 })
    const options = { directory, args: [bucket.options(way.endpoint)] }
    const first = startApp(t, SENDS, {}, options)
    const killed = new Promise<void>((resolve) => {
      way.onRequest = (line, from) => {
        if (!line.startsWith('PUT')) return
        from.once('data', () => {
          first.kill('SIGKILL')
          resolve()
        })
      }
    })
    await Promise.race([killed, first.ended])
    assert.equal((await first.ended).signal, 'SIGKILL')
    way.onRequest = () => undefined
    assert.deepEqual(await bucket.keys(), [])
    const next = startApp(t, SENDS, {}, options)
    await next.until('line', ({ text }) => text.startsWith(`sent ${name}`))
    assert.ok((await bucket.content(`${keyOf(name)}.gz`)).equals(readFileSync(join(directory, name))))
    assert.deepEqual(await bucket.keys(), [`${keyOf(name)}.gz`, `${keyOf(name)}.json`])
  })

  it('credentials without a permission, and wrong ones, are one failure that names what to do', async (t) => {
    const bucket = await newBucket()
    for (const [credentials, advice] of [
      [
        POWERLESS,
        /access to the bucket evidence-\d+ is denied \(AccessDenied\): allow these credentials s3:PutObject/,
      ],
      [
        { ...POWERLESS, secretAccessKey: 'wrong' },
        /the credentials are not accepted \(SignatureDoesNotMatch\)/,
      ],
    ] as const) {
      const app = startApp(t, SENDS, {}, { args: [bucket.options(service.swift.endpoint, { credentials })] })
      await app.order('dumpCpu', 20)
      assert.match((await app.until('failure')).message, advice)
      await app.order('dumpCpu', 20)
      await app.order('stop')
      assert.equal(app.said('failure').length, 1)
    }
    assert.deepEqual(await bucket.keys(), [])
  })

  it('a bucket that is not there is one failure, and gets everything once it is', async (t) => {
    const bucket = await newBucket(false)
    const app = startApp(t, SENDS, {}, { args: [bucket.options(service.swift.endpoint)] })
    await app.order('dumpCpu', 20)
    const { message } = await app.until('failure')
    assert.match(message, new RegExp(`^the bucket ${bucket.name} does not exist: create it`))
    await bucket.create()
    await app.until('line', ({ text }) => text.startsWith('sent manual-cpu-'))
    assert.equal((await bucket.keys()).length, 2)
    assert.equal(app.said('failure').length, 1)
  })

  it('a file that has taken the place of an artefact is one failure, and is never sent', async (t) => {
    const [bucket, way, directory] = [await newBucket(), await road(t, service.swift.endpoint), scratch(t)]
    const [swapped, own] = [leave(directory), leave(directory, { ms: 2000 })]
    writeFileSync(join(directory, swapped), 'of this user, and never meant to leave the machine', {
      mode: 0o600,
    })
    const app = startApp(t, SENDS, {}, { directory, args: [bucket.options(way.endpoint)] })
    await app.until('line', ({ text }) => text.startsWith(`sent ${own}`))
    for (let dump = 0; dump < 2; dump++) await app.order('dumpCpu', 20)
    await app.order('stop')
    assert.deepEqual(
      app.said('failure').map(({ message }) => message),
      [
        `${join(directory, swapped)} is not sent: it has 50 bytes, but 200000 according to its .json, so another file has taken its place`,
      ],
    )
    assert.deepEqual(
      way.requests.filter((line) => line.includes(keyOf(swapped))),
      [],
    )
    assert.equal((await bucket.keys()).length, 6)
    assert.ok(existsSync(join(directory, swapped)))
  })

  it('a directory in the place of the list is one failure, and nothing is sent or asked for twice', async (t) => {
    const [bucket, way, directory] = [await newBucket(), await road(t, service.swift.endpoint), scratch(t)]
    const list = join(directory, '.cpu-memory-monitor-sent.json')
    mkdirSync(list)
    const name = leave(directory)
    const app = startApp(t, SENDS, {}, { directory, args: [bucket.options(way.endpoint)] })
    await app.until('line', ({ text }) => text.startsWith(`sent ${name}`))
    for (let dump = 0; dump < 2; dump++) await app.order('dumpCpu', 20)
    await app.order('stop')
    const of = (method: string) =>
      way.requests.filter((line) => line.startsWith(`${method} /${bucket.name}/`))
    assert.equal(new Set(of('HEAD')).size, 3)
    assert.equal(of('HEAD').length, 3)
    assert.equal(new Set(puts(way.requests, bucket)).size, 6)
    assert.equal(puts(way.requests, bucket).length, 6)
    const failures = app.said('failure').map(({ message }) => message)
    assert.equal(failures.length, 1)
    assert.match(
      failures[0] ?? '',
      new RegExp(`^${list} cannot be written \\(E\\w+\\): until it can, another process`),
    )
  })

  it('a server that never answers is one failure, and holds no process', async (t) => {
    const silent = createServer().listen(0, '127.0.0.1')
    t.after(() => void silent.close())
    await once(silent, 'listening')
    const endpoint = `http://127.0.0.1:${(silent.address() as AddressInfo).port}`
    const bucket = await newBucket()
    const app = startApp(t, SENDS, {}, { args: [bucket.options(endpoint, { timeout: 200 })] })
    await app.order('dumpCpu', 20)
    assert.match((await app.until('failure')).message, /^S3 does not answer or is busy \(ETIMEDOUT\)/)
    // The twin: one that would wait for an hour, and a process that ends in the middle of it.
    for (const how of ['', 'no thread']) {
      const accepted = once(silent, 'connection')
      const held = startApp(t, SENDS, {}, { args: [bucket.options(endpoint, { timeout: 3_600_000 }), how] })
      await held.order('dumpCpu', 20)
      await accepted
      await held.order('letGo')
      assert.deepEqual(await held.ended, { code: 0, signal: null }, how)
    }
  })

  it('without a thread the main thread sends, and one line reports it', async (t) => {
    const [bucket, directory] = [await newBucket(), scratch(t)]
    const name = leave(directory, { bytes: 20_000_000 })
    const args = [bucket.options(service.swift.endpoint), 'no thread']
    const app = startApp(t, SENDS, { watchdog: false }, { directory, args })
    await app.until('line', ({ text }) => text.startsWith(`sent ${name}`))
    await app.order('dumpCpu', 20)
    await app.order('stop')
    assert.ok((await bucket.content(`${keyOf(name)}.gz`)).equals(readFileSync(join(directory, name))))
    assert.equal((await bucket.keys()).length, 4)
    assert.equal(linesOf(app, /^dumps are sent from the main thread, because .*: no more threads$/).length, 1)
    // The twin.
    const threaded = startApp(t, SENDS, {}, { args: args.slice(0, 1) })
    await threaded.order('dumpCpu', 20)
    await threaded.order('stop')
    assert.equal(linesOf(threaded, /main thread: /).length, 0)
  })
})
