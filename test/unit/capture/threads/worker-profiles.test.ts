import assert from 'node:assert/strict'
import type { Session } from 'node:inspector'
import { after, describe, it } from 'node:test'
import { startWorkerProfiles } from '../../../../src/capture/threads/worker-profiles'

/** One worker as a script: what it answers to a method; `undefined` is no answer. */
interface ScriptedWorker {
  readonly title: string
  readonly answer?: (method: string) => object | undefined
}

const IDLE = {
  nodes: [{ id: 1, callFrame: { functionName: '(idle)' } }],
  samples: [1, 1],
  timeDeltas: [1000, 1000],
}
const BUSY = {
  nodes: [{ id: 1, callFrame: { functionName: 'f' } }],
  samples: [1, 1],
  timeDeltas: [1000, 1000],
}

/** Answers as a worker with that profile whose thread has a number. */
const answering =
  (profile: object, thread = 'none') =>
  (method: string): object | undefined => {
    if (method === 'Runtime.evaluate') return { result: { result: { value: thread } } }
    return { result: method === 'Profiler.stop' ? { profile } : {} }
  }

/** A session to a main thread that has these workers. */
function sessionTo(workers: readonly ScriptedWorker[], calls: string[] = []) {
  const listeners = new Map<string, (event: { params: object }) => void>()
  const emit = (event: string, params: object) => listeners.get(event)?.({ params })
  const post = (
    method: string,
    params: { sessionId: string; message: string },
    done: (error: null) => void,
  ) => {
    if (method === 'NodeWorker.enable') {
      for (const [at, { title }] of workers.entries())
        emit('NodeWorker.attachedToWorker', { sessionId: String(at), workerInfo: { title } })
      return done(null)
    }
    const { id, method: called } = JSON.parse(params.message) as { id: number; method: string }
    calls.push(`${params.sessionId} ${called}`)
    done(null)
    const answer = workers[Number(params.sessionId)]?.answer?.(called)
    const { sessionId } = params
    if (answer)
      setImmediate(() =>
        emit('NodeWorker.receivedMessageFromWorker', {
          sessionId,
          message: JSON.stringify({ id, ...answer }),
        }),
      )
  }
  const session = {
    post,
    on: (event: string, listener: (event: { params: object }) => void) => listeners.set(event, listener),
    disconnect: () => calls.push('disconnect'),
  }
  const ends = (at: number) => emit('NodeWorker.detachedFromWorker', { sessionId: String(at) })
  return { session: session as unknown as Session, ends }
}

describe('profiles of workers', () => {
  // The waiting keeps no thread alive, and so not this one either.
  const keepAlive = setInterval(() => {}, 1000)
  after(() => clearInterval(keepAlive))

  const none: (thread?: number) => number | undefined = () => undefined
  const start = ({ session }: { session: Session }, { most = 16, cpuMs = none, ownThreadId = 1 } = {}) =>
    startWorkerProfiles({ connect: () => session, ownThreadId, samplingIntervalUs: 1000, most, cpuMs })
  const until = async (isSo: () => boolean) => {
    for (let tries = 0; !isSo(); tries++) {
      assert.ok(tries < 500, 'it did not come')
      await awhile(10)
    }
  }
  /** Answers come by immediates: on a busy machine a timer alone may fire before them. */
  const awhile = async (ms = 50) => {
    await new Promise((later) => setTimeout(later, ms))
    for (let turn = 0; turn < 20; turn++) await new Promise((later) => setImmediate(later))
  }

  it('leaves out the own thread, and those of another copy of the library', async () => {
    const calls: string[] = []
    const workers = [{ title: '[worker 1] x' }, { title: '[worker 2] cpu-memory-monitor' }]
    const profiles = start(sessionTo(workers, calls))
    await awhile()
    assert.deepEqual(await profiles.stop(10), { profiles: [], notes: [] })
    assert.deepEqual(calls, ['disconnect'])
  })

  it('profiles a worker once the system shows that it is busy', async () => {
    let used = 0
    const workers = [{ title: '[worker 3] hot', answer: answering(BUSY, '7/task/8') }]
    const profiles = start(sessionTo(workers), { cpuMs: () => (used += 40) })
    await awhile(500)
    const ended = await profiles.stop(1000)
    assert.deepEqual(
      ended.profiles.map(({ id, name, profile }) => ({ id, name, profile })),
      [{ id: 3, name: 'hot', profile: BUSY }],
    )
    assert.ok((ended.profiles[0]?.busyMs ?? 0) >= 80)
    assert.equal(ended.notes[0]?.id, 3)
  })

  it('asks an idle worker for its thread, and for nothing else', async () => {
    const calls: string[] = []
    const workers = [{ title: '[worker 3]', answer: answering(BUSY, '7/task/8') }]
    const profiles = start(sessionTo(workers, calls), { cpuMs: () => 7 })
    await awhile(500)
    assert.deepEqual(await profiles.stop(1000), { profiles: [], notes: [] })
    assert.deepEqual(calls, ['0 Runtime.evaluate', 'disconnect'])
  })

  it('judges by the profile where the system shows no CPU time', async () => {
    const workers = [
      { title: '[worker 3] busy', answer: answering(BUSY) },
      { title: '[worker 4] WorkerThread', answer: answering(IDLE) },
    ]
    const profiles = start(sessionTo(workers))
    await awhile()
    const ended = await profiles.stop(1000)
    assert.deepEqual(
      ended.profiles.map(({ name, busyMs }) => ({ name, busyMs })),
      [{ name: 'busy', busyMs: 2 }],
    )
    assert.deepEqual(ended.notes, [{ id: 3, name: 'busy' }])
  })

  it('profiles no more than it may, and names the others', async () => {
    const workers = [3, 4].map((id) => ({ title: `[worker ${id}]`, answer: answering(BUSY) }))
    const profiles = start(sessionTo(workers), { most: 1 })
    await awhile()
    const ended = await profiles.stop(1000)
    assert.equal(ended.profiles.length, 1)
    assert.match(ended.notes.find(({ id }) => id === 4)?.why ?? '', /more than 1/)
  })

  it('names a worker that does not answer, and does not wait for it', async () => {
    const profiles = start(sessionTo([{ title: '[worker 3] stuck' }]))
    await awhile(600)
    const { notes } = await profiles.stop(60_000)
    assert.match(notes[0]?.why ?? '', /did not answer/)
  })

  it('waits for a profile that does not come no longer than told', async () => {
    const answer = (method: string) => (method === 'Profiler.stop' ? undefined : answering(BUSY)(method))
    const profiles = start(sessionTo([{ title: '[worker 3]', answer }]))
    await awhile()
    const { profiles: ended, notes } = await profiles.stop(20)
    assert.deepEqual(ended, [])
    assert.match(notes[0]?.why ?? '', /Profiler.stop/)
  })

  it('names a busy worker that ended during the dump', async () => {
    const main = sessionTo([{ title: '[worker 3]', answer: answering(BUSY) }])
    const profiles = start(main)
    await awhile()
    main.ends(0)
    const { profiles: ended, notes } = await profiles.stop(1000)
    assert.deepEqual(ended, [])
    assert.match(notes[0]?.why ?? '', /ended/)
  })

  it('a worker that refuses costs its own profile', async () => {
    const answer = (method: string) =>
      method === 'Profiler.start' ? { error: { message: 'no profiler' } } : answering(BUSY)(method)
    const workers = [
      { title: '[worker 3]', answer },
      { title: '[worker 4]', answer: answering(BUSY) },
    ]
    const profiles = start(sessionTo(workers))
    await awhile()
    const { profiles: ended, notes } = await profiles.stop(1000)
    assert.deepEqual(
      ended.map(({ id }) => id),
      [4],
    )
    assert.match(notes.find(({ id }) => id === 3)?.why ?? '', /no profiler/)
  })

  it('a worker that does not answer costs the others nothing', async () => {
    const silent = (method: string) => (method === 'Profiler.stop' ? undefined : answering(BUSY)(method))
    const workers = [
      { title: '[worker 3]', answer: silent },
      { title: '[worker 4]', answer: answering(BUSY) },
      { title: '[worker 5]', answer: answering(BUSY) },
    ]
    const profiles = start(sessionTo(workers))
    await awhile()
    const { profiles: ended, notes } = await profiles.stop(50)
    assert.deepEqual(
      ended.map(({ id }) => id),
      [4, 5],
    )
    assert.deepEqual(
      notes.map(({ id, why }) => [id, why]),
      [
        [3, 'the worker did not answer Profiler.stop in time'],
        [4, undefined],
        [5, undefined],
      ],
    )
  })

  it('does not wait for a worker that ends while its profile is awaited', { timeout: 10_000 }, async () => {
    const answer = (method: string) => (method === 'Profiler.stop' ? undefined : answering(BUSY)(method))
    const main = sessionTo([{ title: '[worker 3]', answer }])
    const profiles = start(main)
    await awhile()
    const stopped = profiles.stop(60_000)
    main.ends(0)
    const { profiles: ended, notes } = await stopped
    assert.deepEqual(ended, [])
    assert.equal(notes[0]?.why, 'the worker ended during the dump')
  })

  it('counts CPU time until the end of the dump, however late a worker answers', async () => {
    let used = 0
    const workers = [{ title: '[worker 3]', answer: answering(BUSY, '7/task/8') }]
    const calls: string[] = []
    const profiles = start(sessionTo(workers, calls), { cpuMs: () => used })
    await awhile()
    used = 600
    await until(() => calls.includes('0 Profiler.start'))
    await awhile()
    const stopped = profiles.stop(1000)
    used = 1778
    const { profiles: ended, notes } = await stopped
    assert.equal(ended[0]?.busyMs, 600)
    assert.equal(notes[0]?.cpuMs, 600)
  })

  const crowd = (count: number) =>
    Array.from({ length: count }, (_, at) => ({
      title: `[worker ${at + 1}]`,
      answer: answering(BUSY, `7/task/${at + 1}`),
    }))

  it('profiles the hottest of many busy workers, whatever their order', async () => {
    const calls: string[] = []
    let usedMs = 0
    const cpuMs = (thread?: number) => (thread === 21 ? 10 * usedMs : usedMs)
    const profiles = start(sessionTo(crowd(21), calls), { cpuMs, ownThreadId: 0 })
    await awhile()
    usedMs = 100
    await until(() => calls.filter((call) => call.endsWith('Profiler.start')).length >= 16)
    await awhile()
    const { profiles: ended, notes } = await profiles.stop(1000)
    assert.equal(ended.length, 16)
    assert.equal(ended[0]?.id, 21)
    assert.equal(notes.length, 21)
  })

  it('gives a profile to a worker that becomes the hottest later, and keeps it from one that does not', async () => {
    const used = new Map([
      [1, 0],
      [2, 0],
      [3, 0],
    ])
    const calls: string[] = []
    const cpuMs = (thread?: number) => used.get(thread ?? 0)
    const profiles = start(sessionTo(crowd(3), calls), { cpuMs, ownThreadId: 0, most: 1 })
    await awhile()
    used.set(1, 100)
    await until(() => calls.includes('0 Profiler.start'))
    used.set(2, 150).set(3, 300)
    await until(() => calls.includes('2 Profiler.start'))
    used.set(2, 590)
    await awhile(500)
    const { profiles: ended, notes } = await profiles.stop(1000)
    assert.deepEqual(
      ended.map(({ id }) => id),
      [3],
    )
    assert.ok(calls.includes('0 Profiler.disable') && !calls.includes('1 Profiler.start'))
    assert.deepEqual(
      notes.map(({ id, why = '' }) => [id, why.replace(/,.*/, '')]),
      [
        [2, 'more than 1 workers were busy'],
        [3, ''],
        [1, 'more than 1 workers were busy'],
      ],
    )
  })

  it('leaves no warning about listeners, however many workers it profiles', async (t) => {
    const warnings: Error[] = []
    const note = (warning: Error) => void warnings.push(warning)
    process.on('warning', note)
    t.after(() => process.removeListener('warning', note))
    const calls: string[] = []
    const workers = crowd(16).map(({ title }) => ({ title, answer: answering(BUSY) }))
    const profiles = start(sessionTo(workers, calls), { ownThreadId: 0 })
    await until(() => calls.filter((call) => call.endsWith('Profiler.start')).length >= 16)
    await awhile()
    await profiles.stop(1000)
    assert.deepEqual(warnings, [])
  })

  it('says why it knows of no workers', async () => {
    const profiles = startWorkerProfiles({
      ...{ ownThreadId: 1, samplingIntervalUs: 1000, most: 1, cpuMs: () => undefined },
      connect: () => {
        throw new Error('no session')
      },
    })
    assert.deepEqual(await profiles.stop(10), { profiles: [], notes: [], failure: 'no session' })
  })
})
