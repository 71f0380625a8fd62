import assert from 'node:assert/strict'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import { Program, programEnvironment, runToEnd } from '../../harness/program'
import { installLibrary, repository } from '../../unit/capture/package-copy'
import { artefacts, scratch, startApp } from '../monitor/app'
import {
  host,
  keyOf,
  leave,
  leaveLink,
  linesOf,
  noSwift,
  puts,
  road,
  SENDS,
  swiftOfSuite,
  until,
} from './bucket'

describe('uploads to a real S3', { skip: noSwift }, () => {
  const service = swiftOfSuite()
  const newBucket = (isThere?: boolean) => service.newBucket(isThere)

  it('each artefact arrives byte for byte, and its .json after it', async (t) => {
    const [bucket, way] = [await newBucket(), await road(t, service.swift.endpoint)]
    const more = { service: 'shop', version: '1.2.3' }
    const app = startApp(t, SENDS, { memory: {} }, { args: [bucket.options(way.endpoint, more)] })
    await app.order('dumpCpu', 50)
    await app.order('dumpMemory')
    const names = artefacts(app)
    assert.equal(names.length, 3, `${names.join()}\n${JSON.stringify(app.said('skip'))}`)
    await app.order('stop')
    const sent = puts(way.requests, bucket)
    assert.deepEqual(await bucket.keys(), [...sent].sort())
    for (const name of names) {
      const base = keyOf(name)
      assert.deepEqual(
        sent.filter((key) => key.startsWith(`${base}.`)),
        [`${base}.gz`, `${base}.json`],
      )
      assert.ok((await bucket.content(`${base}.gz`)).equals(readFileSync(join(app.directory, name))), name)
      const { body, metadata } = await bucket.get(`${base}.json`)
      assert.ok(body.equals(readFileSync(join(app.directory, `${name}.json`))), name)
      assert.match(metadata['why'] ?? '', /^manual (cpu|memory)$/)
      assert.match(metadata['makeup'] ?? '', name.includes('cpu') ? /^CPU \d+ %/ : /MB/)
      assert.deepEqual([metadata['service'], metadata['version']], ['shop', '1.2.3'])
    }
    assert.equal(linesOf(app, /^sent manual-/).length, 3)
    assert.deepEqual(app.said('failure'), [])
  })

  it('an artefact costs three requests, and a large one two and its parts more', async (t) => {
    const [bucket, way, directory] = [await newBucket(), await road(t, service.swift.endpoint), scratch(t)]
    const methods = () => way.requests.map((line) => line.split(' ')[0])
    const args = [bucket.options(way.endpoint)]
    const small = leave(directory, { bytes: 1_000_000 })
    const first = startApp(t, SENDS, {}, { directory, args })
    await first.until('line', ({ text }) => text.startsWith(`sent ${small}`))
    await first.order('stop')
    assert.deepEqual(methods(), ['HEAD', 'PUT', 'PUT'])
    way.requests.length = 0
    const large = leave(directory, { pid: 8, ms: 2000, bytes: 30_000_000 })
    const next = startApp(t, SENDS, {}, { directory, args })
    await next.until('line', ({ text }) => text.startsWith(`sent ${large}`))
    await next.order('stop')
    assert.deepEqual(methods(), ['HEAD', 'POST', 'PUT', 'PUT', 'PUT', 'PUT', 'POST', 'PUT'])
  })

  it('nothing is sent without uploadTo, nor what is not ours with it', async (t) => {
    const [bucket, way] = [await newBucket(), await road(t, service.swift.endpoint)]
    const [directory, elsewhere] = [scratch(t), scratch(t)]
    leave(directory, { pid: 1, host: 'another-host' })
    leave(directory, { pid: 2, of: elsewhere })
    leaveLink(directory, join(elsewhere, leave(elsewhere)))
    writeFileSync(join(directory, 'memory-3-1000.heapsnapshot'), 'without a .json')
    const own = leave(directory, { pid: 4 })
    const plain = startApp(t, SENDS, {}, { directory })
    await plain.order('dumpCpu', 50)
    await plain.order('stop')
    assert.deepEqual(way.requests, [])
    const sending = startApp(t, SENDS, {}, { directory, args: [bucket.options(way.endpoint)] })
    await sending.until('line', ({ text }) => text.startsWith('sent manual-cpu-'))
    await sending.order('stop')
    const artefactKeys = (await bucket.keys()).filter((key) => key.endsWith('.gz'))
    const [cpu = ''] = artefacts(plain, 'manual-cpu-')
    assert.deepEqual(artefactKeys, [`${keyOf(own)}.gz`, `${keyOf(cpu)}.gz`].sort())
  })

  it('what is there is not sent again, whether it is remembered or not', async (t) => {
    const [bucket, way, directory] = [await newBucket(), await road(t, service.swift.endpoint), scratch(t)]
    const name = leave(directory)
    const start = () => startApp(t, SENDS, {}, { directory, args: [bucket.options(way.endpoint)] })
    const first = start()
    await first.until('line', ({ text }) => text.startsWith(`sent ${name}`))
    await first.order('stop')
    assert.equal(puts(way.requests, bucket).length, 2)
    for (const isRemembered of [true, false]) {
      way.requests.length = 0
      const memory = join(directory, '.cpu-memory-monitor-sent.json')
      assert.ok(existsSync(memory))
      if (!isRemembered) rmSync(memory)
      const next = start()
      await next.order('dumpCpu', 50)
      await next.order('stop')
      const [cpu = ''] = artefacts({ directory }, `manual-cpu-${next.pid}-`)
      assert.deepEqual(puts(way.requests, bucket), [`${keyOf(cpu)}.gz`, `${keyOf(cpu)}.json`])
    }
  })

  it('of several processes in one directory one sends each file', async (t) => {
    const [bucket, way, directory] = [await newBucket(), await road(t, service.swift.endpoint), scratch(t)]
    const names = Array.from({ length: 6 }, (_each, at) =>
      leave(directory, { pid: at + 1, bytes: 2_000_000 }),
    )
    const apps = Array.from({ length: 3 }, () =>
      startApp(t, SENDS, {}, { directory, args: [bucket.options(way.endpoint)] }),
    )
    // Each dumps as well, at about the same time.
    await Promise.all(apps.map((app) => app.order('dumpCpu', 50)))
    await Promise.all(apps.map((app) => app.order('stop')))
    await until(async () => (await bucket.keys()).length === 2 * (names.length + apps.length))
    const sent = puts(way.requests, bucket)
    assert.deepEqual([...new Set(sent)].sort(), [...sent].sort())
    assert.equal(sent.length, 2 * (names.length + apps.length))
  })

  it('what has arrived is deleted from the disk if that is wanted', async (t) => {
    for (const deleteAfterUpload of [true, false]) {
      const [bucket, directory] = [await newBucket(), scratch(t)]
      const name = leave(directory)
      const args = [bucket.options(service.swift.endpoint, { deleteAfterUpload })]
      const app = startApp(t, SENDS, {}, { directory, args })
      await app.until('line', ({ text }) => text.startsWith(`sent ${name}`))
      await app.order('stop')
      const left = readdirSync(directory).filter((each) => each.startsWith('memory-'))
      assert.deepEqual(left, deleteAfterUpload ? [] : [name, `${name}.json`])
      assert.equal((await bucket.keys()).length, 2)
    }
  })

  it('without code, by CMM_S3_*', async (t) => {
    const [bucket, directory] = [await newBucket(), scratch(t)]
    const name = leave(directory)
    const run = (variables: NodeJS.ProcessEnv) =>
      new Program(t, [process.execPath, '--require', 'cpu-memory-monitor/register', IDLES], {
        cwd: join(__dirname, '../../..'),
        env: programEnvironment({
          CMM_PROFILE_DIR: directory,
          CMM_CPU: 'false',
          AWS_ACCESS_KEY_ID: 'test:tester',
          AWS_SECRET_ACCESS_KEY: 'testing',
          ...variables,
        }),
      })
    const s3 = {
      CMM_S3_BUCKET: bucket.name,
      CMM_S3_ENDPOINT: service.swift.endpoint,
      CMM_S3_KEY: 'all/<host>/<name>',
    }
    const wrong = run({ ...s3, CMM_S3_SSE: '\n' })
    await wrong.until('the line', () => wrong.stderr || undefined)
    assert.match(
      wrong.stderr,
      /^cpu-memory-monitor: not started: CMM_S3_SSE: options\.s3\.sse must be a text of one line/,
    )
    wrong.kill('SIGKILL')
    const nowhere = run({ CMM_S3_PREFIX: 'shop' })
    await nowhere.until('the line', () => nowhere.stderr || undefined)
    assert.match(
      nowhere.stderr,
      /^cpu-memory-monitor: not started: CMM_S3_BUCKET: options\.s3\.bucket must be the name of a/,
    )
    nowhere.kill('SIGKILL')
    run(s3)
    await until(async () => (await bucket.keys()).length === 2)
    assert.deepEqual(await bucket.keys(), [`all/${host}/${name}.gz`, `all/${host}/${name}.json`])
  })
})

describe('the entry for S3', () => {
  it('names the line that installs what is missing, at the call', async (t) => {
    const application = scratch(t)
    const library = installLibrary(application)
    const modules = join(library, 'node_modules')
    rmSync(modules)
    mkdirSync(modules)
    symlinkSync(join(repository, 'node_modules/bytes'), join(modules, 'bytes'))
    writeFileSync(
      join(application, 'app.js'),
      `try { require('cpu-memory-monitor/s3').uploadTo({ bucket: 'evidence' }) } catch ({ message }) { console.error(message) }`,
    )
    const app = new Program(t, [process.execPath, 'app.js'], { cwd: application })
    await app.ended
    assert.equal(
      app.stderr,
      'cpu-memory-monitor/s3 needs packages that are not installed: @aws-sdk/client-s3 @aws-sdk/lib-storage. ' +
        'Run: npm install @aws-sdk/client-s3 @aws-sdk/lib-storage\n',
    )
    const withoutCode = ['--require', 'cpu-memory-monitor/register', '--eval', '0']
    const preloaded = new Program(t, [process.execPath, ...withoutCode], {
      cwd: application,
      env: programEnvironment({ CMM_S3_BUCKET: 'evidence' }),
    })
    await preloaded.ended
    assert.equal(preloaded.stderr, `cpu-memory-monitor: not started: CMM_S3_*: ${app.stderr}`)
  })
})

describe('the start line', () => {
  const start = `
    const { uploadTo } = require('cpu-memory-monitor/s3')
    const credentials = { accessKeyId: 'AKIAs3cret', secretAccessKey: 's3cret' }
    const upload = uploadTo({ bucket: 'evidence', prefix: 'shop', endpoint: 'http://u:s3cret@127.0.0.1:9', credentials })
    const onDump = process.argv[2] === 'own' ? (dump) => upload(dump) : upload
    require('cpu-memory-monitor')({ signal: false, watchdog: false, startAtOnce: true, onDump })`
  const lineOf = async (t: TestContext, ...args: string[]): Promise<string> => {
    const application = scratch(t)
    installLibrary(application)
    writeFileSync(join(application, 'app.js'), start)
    const { code, stderr } = await runToEnd([process.execPath, 'app.js', ...args], {
      cwd: application,
      env: programEnvironment(),
    })
    assert.equal(code, 0, stderr)
    return stderr
  }

  it('names bucket and prefix, and no secret', async (t) => {
    assert.equal(
      await lineOf(t),
      'cpu-memory-monitor: watching nothing; on the main thread; dumps are sent to s3://evidence/shop at 127.0.0.1:9\n',
    )
  })

  it('names none where the function is called by one of the application', async (t) => {
    assert.doesNotMatch(await lineOf(t, 'own'), /evidence/)
  })
})

const IDLES = join(__dirname, 'programs/idles.js')
