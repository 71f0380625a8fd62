import assert from 'node:assert/strict'
import { EventEmitter, once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import type { Session } from 'node:inspector'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { after, afterEach, beforeEach, describe, it, type TestContext } from 'node:test'
import { Worker } from 'node:worker_threads'
import { captureWorkerHeap, type WorkerHeapParts } from '../../../../src/capture/heap/worker-heap'
import { openLocalSession } from '../../../../src/capture/main-thread/local-session'
import type { Sidecar } from '../../../../src/files/sidecar'
import { jobIn, roomy } from '../scripted-main-thread'

const never = new AbortController().signal
const GROWS = `const kept = []; globalThis.kept = kept
  setInterval(function hoardLetters() { for (let at = 0; at < 200; at++) kept.push(Buffer.alloc(20_000, 97).toString('latin1')) }, 20)`
const IDLE = 'setInterval(() => {}, 1000)'

async function startWorker(t: TestContext, text: string) {
  const ready = ";require('node:worker_threads').parentPort.postMessage('ready')"
  const worker = new Worker(text + ready, { eval: true, name: 'cache' })
  t.after(() => worker.terminate())
  await once(worker, 'message')
  return { id: worker.threadId, name: 'cache' }
}

describe('captureWorkerHeap', () => {
  // Its timers keep no thread alive, and so not this one either.
  const keepAlive = setInterval(() => {}, 1000)
  after(() => clearInterval(keepAlive))
  let directory = ''
  beforeEach(() => (directory = mkdtempSync(join(tmpdir(), 'cmm-worker-heap-'))))
  afterEach(() => rmSync(directory, { recursive: true, force: true }))

  const capture = (
    worker: { id: number; name: string },
    parts: Partial<WorkerHeapParts> = {},
    early: AbortSignal = never,
  ) => {
    const usual = { mainThread: { connect: openLocalSession }, probe: roomy(), sampling: true }
    return captureWorkerHeap({ ...usual, ...parts }, jobIn(directory, 'memory'), worker, early)
  }
  const sidecarOf = (file: string) => JSON.parse(readFileSync(`${file}.json`, 'utf8')) as Sidecar
  const noRoom = { probe: roomy(undefined, 1) }

  it('has the worker write its snapshot', async (t) => {
    const worker = await startWorker(t, `class OnlyHere {}; globalThis.one = new OnlyHere(); ${IDLE}`)
    const { artefact, way, ...others } = await capture(worker)
    assert.deepEqual([way, others], ['v8', {}])
    assert.equal(basename(artefact?.file ?? ''), `memory-1-1-worker-${worker.id}.heapsnapshot`)
    assert.ok(readFileSync(artefact?.file ?? '', 'utf8').includes('"OnlyHere"'))
    const { thread, how } = sidecarOf(artefact?.file ?? '')
    assert.deepEqual(thread, { kind: 'worker', ...worker })
    assert.equal(how.way, 'v8')
    assert.ok(how.pauseMs > 0 && how.pauseMs <= how.durationMs, 'the worker stood still for it')
  })

  it('samples the allocations of one whose snapshot does not fit, and gives the numbers', async (t) => {
    const worker = await startWorker(t, GROWS)
    const { artefact, way, refusal, failure } = await capture(worker, { ...noRoom, samplingMs: 500 })
    assert.deepEqual([way, failure], ['sampling', undefined])
    assert.equal(basename(artefact?.file ?? ''), `memory-1-1-worker-${worker.id}.heapprofile`)
    assert.ok(readFileSync(artefact?.file ?? '', 'utf8').includes('"hoardLetters"'))
    assert.equal(refusal?.skip, 'memory')
    assert.equal(refusal.numbers['worker'], worker.id)
    assert.ok((refusal.numbers['needBytes'] ?? 0) > (refusal.numbers['haveBytes'] ?? 0))
    assert.equal(sidecarOf(artefact?.file ?? '').how.notes?.['sampledMs'], 500)
  })

  it('writes no snapshot that is not redacted, where it is to be', async (t) => {
    const worker = await startWorker(t, GROWS)
    const { artefact, way, failure } = await capture(worker, { redact: true, samplingMs: 500 })
    assert.equal(way, 'sampling')
    assert.match(
      failure?.message ?? '',
      /no heap snapshot of worker \d+: a worker thread cannot write a redacted snapshot/,
    )
    const written = readdirSync(directory).sort()
    const file = basename(artefact?.file ?? '')
    assert.deepEqual(written, [file, `${file}.json`])
    assert.match(file, /\.heapprofile$/)
  })

  it('leaves the sampler of another user running, and reads its profile at once', async (t) => {
    const sample =
      "const session = new (require('node:inspector').Session)(); session.connect(); globalThis.session = session"
    const worker = await startWorker(t, `${sample}; session.post('HeapProfiler.startSampling'); ${GROWS}`)
    await new Promise((resolve) => setTimeout(resolve, 300))
    for (const round of ['first', 'second']) {
      const { artefact } = await capture(worker, { ...noRoom, samplingMs: 1e6 })
      assert.ok(artefact, round)
      assert.equal(sidecarOf(artefact.file).how.notes?.['sampler'], 'foreign')
    }
  })

  it('has no profile of a worker that allocates nothing, and none when sampling is not wanted', async (t) => {
    const idle = await capture(await startWorker(t, IDLE), { ...noRoom, samplingMs: 50 })
    assert.deepEqual(Object.keys(idle), ['refusal'])
    const unwanted = await capture(await startWorker(t, GROWS), { ...noRoom, sampling: false })
    assert.deepEqual(Object.keys(unwanted), ['refusal'])
    assert.deepEqual(readdirSync(directory), [])
  })

  it('does not begin when the disk has no room', async (t) => {
    const worker = await startWorker(t, IDLE)
    const { refusal, ...others } = await capture(worker, { probe: roomy(1) })
    assert.deepEqual([refusal?.skip, others], ['disk', {}])
    assert.deepEqual(readdirSync(directory), [])
  })

  it('names a worker that is no longer there', async () => {
    const { failure, ...others } = await capture({ id: 4321, name: '' })
    assert.match(failure?.message ?? '', /worker 4321: the worker has ended/)
    assert.deepEqual(others, {})
  })

  it('gives up one that is in a long native call', async (t) => {
    const beat = new Int32Array(new SharedArrayBuffer(4))
    const worker = new Worker(
      `const { parentPort, workerData } = require('node:worker_threads')
       const { pbkdf2Sync } = require('node:crypto')
       pbkdf2Sync('a', 'b', 1, 64, 'sha512')
       parentPort.once('message', () => {
         Atomics.store(workerData, 0, 1)
         pbkdf2Sync('a', 'b', 1e7, 64, 'sha512')
       })`,
      { eval: true, workerData: beat },
    )
    t.after(() => worker.terminate())
    await once(worker, 'online')
    worker.postMessage('go')
    while (Atomics.load(beat, 0) === 0) await new Promise((resolve) => setTimeout(resolve, 5))
    const { failure } = await capture({ id: worker.threadId, name: '' }, { answerMs: 100 })
    assert.match(failure?.message ?? '', /no answer to \S+ within 100 ms: .*native call/)
    assert.deepEqual(readdirSync(directory), [])
  })

  it('takes no snapshot in a worker that comes to it after the dump was ended', async (t) => {
    const wake = new Int32Array(new SharedArrayBuffer(4))
    const worker = new Worker(
      `const { parentPort, workerData } = require('node:worker_threads')
       const real = process.getBuiltinModule
       require('node:v8').writeHeapSnapshot = () => parentPort.postMessage('a snapshot')
       process.getBuiltinModule = (name) => {
         parentPort.postMessage('asked')
         Atomics.wait(workerData, 0, 0)
         return real(name)
       }
       parentPort.on('message', (message) => parentPort.postMessage(message))
       parentPort.postMessage('ready')`,
      { eval: true, workerData: wake },
    )
    t.after(() => worker.terminate())
    const messages: unknown[] = []
    worker.on('message', (message) => messages.push(message))
    // A worker is online before its program has run.
    await once(worker, 'message')
    const early = new AbortController()
    const capturing = capture({ id: worker.threadId, name: '' }, {}, early.signal)
    while (messages.at(-1) !== 'asked') await once(worker, 'message')
    early.abort()
    assert.deepEqual(await capturing, {})
    Atomics.store(wake, 0, 1)
    Atomics.notify(wake, 0)
    worker.postMessage('echo')
    while (messages.at(-1) !== 'echo') await once(worker, 'message')
    assert.deepEqual(messages, ['ready', 'asked', 'echo'])
    assert.deepEqual(readdirSync(directory), [])
  })

  it('is neither a failure nor a refusal when the dump is ended early', async (t) => {
    const worker = await startWorker(t, IDLE)
    assert.deepEqual(await capture(worker, {}, AbortSignal.abort()), {})
    const early = new AbortController()
    const capturing = capture(worker, { mainThread: { connect: silent } }, early.signal)
    early.abort()
    assert.deepEqual(await capturing, {})
  })
})

function silent(): Session {
  const nothing = () => undefined
  return Object.assign(new EventEmitter(), { post: nothing, disconnect: nothing }) as unknown as Session
}
