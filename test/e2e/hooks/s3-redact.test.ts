import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { before, describe, it } from 'node:test'
import { Program, programEnvironment } from '../../harness/program'
import { scratch, startApp } from '../monitor/app'
import { keyOf, leave, noSwift, SENDS, swiftOfSuite, until } from './bucket'

const SECRET = 'pin of a customer'
const PROFILE = JSON.stringify({
  nodes: [
    { id: 1, callFrame: { functionName: 'pay', url: `file:///app/pay.js?${SECRET}`, lineNumber: 1 } },
    { id: 2, callFrame: { functionName: 'refund', url: `data:text/javascript,"${SECRET}"`, lineNumber: 1 } },
  ],
  ...{ startTime: 0, endTime: 1, samples: [1, 2], timeDeltas: [0, 1] },
})

describe('uploads that are redacted', { skip: noSwift }, () => {
  const service = swiftOfSuite()
  let snapshot: Buffer
  before(() => {
    snapshot = snapshotWithSecret()
    assert.ok(snapshot.includes(SECRET) && snapshot.includes('"CustomerOfTheShop"'))
  })

  /** Two artefacts with the secret, in a directory of their own. */
  const leaveBoth = (directory: string) => ({
    heap: leave(directory, { content: snapshot }),
    cpu: leave(directory, { name: 'cpu-7-1000.cpuprofile', content: PROFILE }),
  })

  for (const how of ['', 'no thread'])
    it(`hold no secret of the heap, and the disk still does ${how}`, async (t) => {
      const [bucket, directory] = [await service.newBucket(), scratch(t)]
      const { heap, cpu } = leaveBoth(directory)
      const args = [bucket.options(service.swift.endpoint, { redact: true }), how]
      const app = startApp(t, SENDS, {}, { directory, args })
      await until(async () => (await bucket.keys()).length === 4)
      await app.order('stop')
      const sent = await bucket.content(`${keyOf(heap)}.gz`)
      assert.deepEqual([sent.includes(SECRET), sent.includes('"CustomerOfTheShop"')], [false, true])
      const [one, other] = [countsOf(snapshot), countsOf(sent)]
      assert.deepEqual(other, one)
      assert.ok(readFileSync(join(directory, heap)).equals(snapshot))
      const profile = (await bucket.content(`${keyOf(cpu)}.gz`)).toString()
      assert.equal(
        profile,
        PROFILE.replace(`?${SECRET}`, '').replace(/data:text[^,]*,\\"[^"]*"/, 'data:(redacted)'),
      )
      assert.equal(readFileSync(join(directory, cpu), 'utf8'), PROFILE)
      const { metadata } = await bucket.get(`${keyOf(heap)}.json`)
      assert.equal(metadata['redacted'], 'true')
      assert.deepEqual(app.said('failure'), [])
    })

  it('are redacted without code too, by CMM_S3_REDACT', async (t) => {
    const [bucket, directory] = [await service.newBucket(), scratch(t)]
    const { heap } = leaveBoth(directory)
    new Program(t, [process.execPath, '--require', 'cpu-memory-monitor/register', IDLES], {
      cwd: join(__dirname, '../../..'),
      env: programEnvironment({
        ...{ CMM_PROFILE_DIR: directory, CMM_CPU: 'false', CMM_S3_REDACT: 'true', CMM_S3_PREFIX: 'shop' },
        ...{ CMM_S3_BUCKET: bucket.name, CMM_S3_ENDPOINT: service.swift.endpoint },
        ...{ AWS_ACCESS_KEY_ID: 'test:tester', AWS_SECRET_ACCESS_KEY: 'testing' },
      }),
    })
    await until(async () => (await bucket.keys()).length === 4)
    assert.ok(!(await bucket.content(`${keyOf(heap)}.gz`)).includes(SECRET))
  })

  it('are those on the disk, byte for byte, without the option', async (t) => {
    const [bucket, directory] = [await service.newBucket(), scratch(t)]
    const { heap, cpu } = leaveBoth(directory)
    const app = startApp(t, SENDS, {}, { directory, args: [bucket.options(service.swift.endpoint)] })
    await until(async () => (await bucket.keys()).length === 4)
    await app.order('stop')
    assert.ok((await bucket.content(`${keyOf(heap)}.gz`)).equals(snapshot))
    assert.equal((await bucket.content(`${keyOf(cpu)}.gz`)).toString(), PROFILE)
    assert.equal((await bucket.get(`${keyOf(heap)}.json`)).metadata['redacted'], undefined)
  })

  it('are none of a snapshot that cannot be redacted', async (t) => {
    const [bucket, directory] = [await service.newBucket(), scratch(t)]
    const name = leave(directory, { content: snapshot.subarray(0, snapshot.length / 2) })
    const whole = leave(directory, { pid: 8, ms: 2000, content: snapshot })
    const args = [bucket.options(service.swift.endpoint, { redact: true })]
    const app = startApp(t, SENDS, {}, { directory, args })
    const { stage, message } = await app.until('failure')
    assert.equal(stage, 'upload')
    assert.match(message, new RegExp(`${name} is not sent: the snapshot cannot be redacted: it `))
    await until(async () => (await bucket.keys()).length === 2)
    assert.deepEqual(await bucket.keys(), [`${keyOf(whole)}.gz`, `${keyOf(whole)}.json`])
    assert.ok(readdirSync(directory).includes(name))
  })
})

/** A snapshot of a process of its own. The secret is put together, so that no source holds it. */
function snapshotWithSecret(): Buffer {
  const directory = mkdtempSync(join(tmpdir(), 'heap-'))
  const program = `
    class CustomerOfTheShop { note = ['pin', 'of', 'a', 'customer'].join(' ') }
    globalThis.customer = new CustomerOfTheShop()
    require('v8').writeHeapSnapshot('left.heapsnapshot')`
  try {
    execFileSync(process.execPath, ['-e', program], { cwd: directory, env: programEnvironment() })
    return readFileSync(join(directory, 'left.heapsnapshot'))
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

function countsOf(text: Buffer): unknown {
  const { snapshot, nodes, edges } = JSON.parse(text.toString('utf8')) as {
    snapshot: { node_count: number; edge_count: number }
    nodes: unknown[]
    edges: unknown[]
  }
  return [snapshot.node_count, snapshot.edge_count, nodes.length, edges.length]
}

const IDLES = join(__dirname, 'programs/idles.js')
