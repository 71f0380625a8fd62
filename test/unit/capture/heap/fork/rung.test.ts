import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { constants, tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, afterEach, beforeEach, describe, it } from 'node:test'
import type { Plan } from '../../../../../src/capture/capture'
import { CHILD_NICENESS } from '../../../../../src/capture/heap/fork/child-limits'
import type { ChildEnd, ForkHelper } from '../../../../../src/capture/heap/fork/helper'
import type { ChildReport } from '../../../../../src/capture/heap/fork/job'
import { FORK_RETRIES } from '../../../../../src/capture/heap/fork/rung'
import { createHeapCapturer } from '../../../../../src/capture/heap/ladder'
import type { Orders } from '../../../../../src/capture/main-thread/orders'
import { reopenArtefact } from '../../../../../src/files/artefact'
import { CHILD_DEADLINE_MS } from '../../../../../src/files/expiry'
import type { PartialArtefact } from '../../../../../src/files/partial'
import { readSidecar } from '../../../../../src/files/sidecar'
import {
  HEAP_PROFILE,
  jobIn,
  listener,
  roomy,
  scriptedMainThread,
  SNAPSHOT,
} from '../../scripted-main-thread'
import { pipeThatSays } from './pipe'

type Input = Orders['forkHeapDump']['input']

/** Room for a fork, not for what the snapshot of such a heap may need. */
const scant = () => ({
  ...roomy(),
  memory: () => ({ availableBytes: 140 * MIB, limitBytes: 1024 * MIB }),
})

/** What one child does: which files it publishes, what it says, and how it ends. */
interface Child {
  readonly snapshot?: boolean
  readonly profile?: boolean
  readonly says?: Partial<ChildReport>
  readonly end?: ChildEnd
  /** Done by another process before the child publishes, and afterwards. */
  /** The file was gone before the fork. */
  readonly gone?: string
  readonly beforehand?: () => void
  readonly meanwhile?: () => void
}

const MIB = 1024 * 1024
const EXIT_CODES = { jobFailed: 70, notDetached: 71, waitedForThread: 75 }
const STUCK: Child = { end: { code: EXIT_CODES.waitedForThread } }
const [SIGABRT, SIGKILL, SIGSEGV, SIGALRM, SIGTERM] = [6, 9, 11, 14, 15]
const WHOLE: Child = {
  snapshot: true,
  profile: true,
  says: { snapshot: { sizeBytes: SNAPSHOT.length }, peakBytes: 77 },
}
/** Belongs to nobody: the guard sees no such process. */
const PID = 0x3fff_fff0

describe('forked heap dumps', () => {
  // A capture's timers keep no thread alive, and so not this one either.
  const keepAlive = setInterval(() => {}, 1000)
  after(() => clearInterval(keepAlive))
  let directory = ''
  let pipes = ''
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'cmm-fork-'))
    pipes = mkdtempSync(join(tmpdir(), 'cmm-pipes-'))
  })
  afterEach(() => [directory, pipes].forEach((each) => rmSync(each, { recursive: true, force: true })))

  const publish = (partial: PartialArtefact, text: string, way: string): void => {
    const open = reopenArtefact(partial)
    open.write(text)
    open.publishNow({ way, passedOver: [], pauseMs: 1, durationMs: 1 })
    open.abandon()
  }

  interface Case {
    readonly children: readonly (Child | Error)[]
    readonly sampling?: boolean
    readonly startSampling?: () => Orders['startSampling']['output']
    readonly probe?: ReturnType<typeof roomy>
    readonly survey?: () => void
    readonly heap?: Orders['heapStatistics']['output']
    /** The dispatcher is on the main thread itself. */
    readonly isDirect?: boolean
  }
  const take = async (scripted: Case) => {
    const { children, sampling = true, probe = roomy(), isDirect = false } = scripted
    const { startSampling, survey, heap } = scripted
    const inputs: Input[] = []
    const ends: ChildEnd[] = []
    const forkHeapDump = (input: Input): Orders['forkHeapDump']['output'] => {
      const child = children[inputs.length]
      inputs.push(input)
      assert.ok(child, 'forked more often than scripted')
      if (child instanceof Error) throw child
      child.beforehand?.()
      if (child.gone !== undefined) return { gone: child.gone }
      if (child.profile && input.profile) publish(input.profile, JSON.stringify(HEAP_PROFILE), 'sampling')
      if (child.snapshot) publish(input.snapshot, SNAPSHOT, 'fork')
      child.meanwhile?.()
      ends.push(child.end ?? { code: 0 })
      const said = child.says ? JSON.stringify(child.says) : ''
      return { pid: PID, resultDescriptor: pipeThatSays(pipes, said), pauseMs: 4 }
    }
    const observer = listener()
    const heapStatistics = heap && (() => heap)
    const script = {
      forkHeapDump,
      ...(startSampling && { startSampling }),
      ...(heapStatistics && { heapStatistics }),
    }
    const { mainThread: direct, log } = scriptedMainThread(script)
    const { orderNow, ...fromAnotherThread } = direct
    assert.ok(orderNow)
    const mainThread = isDirect ? direct : fromAnotherThread
    const helper: ForkHelper = {
      survey: survey ?? (() => {}),
      fork: () => assert.fail('only the main thread forks'),
      wait: () => ends.shift(),
      threadsAvailable: (wanted) => wanted,
      exitCodes: EXIT_CODES,
    }
    const engine = { passedOver: [] }
    const capturer = createHeapCapturer({
      ...{ mainThread, engine, probe, observer, sampling },
      fork: { helper },
    })
    const plan = (await capturer.plan(directory)) as Plan
    const result = await plan.take(jobIn(directory, 'memory'), AbortSignal.abort()).then(
      (taken) => ('skip' in taken ? { refused: taken } : { captured: taken }),
      (error: Error) => ({ error }),
    )
    const none = { captured: undefined, refused: undefined, error: undefined }
    return { ...none, ...result, inputs, log, said: observer.said, files: readdirSync(directory).sort() }
  }
  const forks = (log: readonly string[]): number => log.filter((order) => order === 'forkHeapDump').length
  const names = (...extensions: string[]): string[] =>
    extensions.flatMap((extension) => [`memory-1-1.${extension}`, `memory-1-1.${extension}.json`])

  it('are the snapshot and the profile that the child published', async () => {
    const { captured, inputs, log, files } = await take({ children: [WHOLE] })
    assert.deepEqual(files, names('heapprofile', 'heapsnapshot'))
    assert.deepEqual(
      captured?.artefacts.map(({ file }) => file),
      ['heapsnapshot', 'heapprofile'].map((extension) => join(directory, `memory-1-1.${extension}`)),
    )
    assert.deepEqual(
      [captured.way, captured.pauseMs, captured.childPeakBytes, captured.passedOver],
      ['fork', 4, 77, []],
    )
    assert.equal(inputs[0]?.options.niceness, CHILD_NICENESS)
    // Nothing of it was taken in place.
    assert.ok(!log.includes('heapSnapshot') && !log.includes('samplingProfile'))
  })

  it('go first when the kernel needs memory, but not where the application would go with them', async () => {
    const alone = await take({ children: [WHOLE] })
    assert.equal(alone.inputs[0]?.options.firstForOomKiller, true)
    for (const file of alone.files) rmSync(join(directory, file))
    const probe = { ...roomy(), isKilledAsOne: () => true }
    const { inputs, captured } = await take({ children: [WHOLE], probe })
    assert.deepEqual([inputs[0]?.options.firstForOomKiller, captured?.way], [false, 'fork'])
  })

  it('have longer for a large heap, and say so where a later start looks for what was left behind', async () => {
    const heap = { usedBytes: 1000 * MIB }
    const { inputs } = await take({ children: [WHOLE], heap })
    assert.deepEqual([CHILD_DEADLINE_MS, inputs[0]?.options.deadlineSeconds], [120_000, 305])
    const said = readSidecar(join(directory, 'memory-1-1.heapsnapshot.json'), 'memory-1-1.heapsnapshot')
    const { childDeadlineMs = 0 } = said ?? {}
    assert.ok(childDeadlineMs >= 300_000 && childDeadlineMs < 310_000, String(childDeadlineMs))
  })

  it('have the time of the forks before them counted in what a later start goes by', async () => {
    const deadline = ({ draft }: PartialArtefact) => Number(draft.where.limits['childDeadlineMs'])
    const late = {
      ...STUCK,
      meanwhile: () => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200),
    }
    const { inputs } = await take({ children: [late, WHOLE] })
    const [first = 0, second = 0] = inputs.map(({ snapshot }) => deadline(snapshot))
    assert.ok(first >= CHILD_DEADLINE_MS && second - first >= 199, `${first}, then ${second}`)
  })

  it('count as whole by what is on disk, also when the child could not report', async () => {
    const silent = { snapshot: true, profile: true, end: { signal: SIGSEGV } }
    const { captured, log } = await take({ children: [silent, STUCK, STUCK] })
    assert.equal(captured?.way, 'fork')
    assert.equal(forks(log), 1)
  })

  it('are tried again after a child got stuck; the pauses add up', async () => {
    const { captured, inputs, files } = await take({ children: [STUCK, { end: { signal: SIGSEGV } }, WHOLE] })
    assert.equal(captured?.way, 'fork')
    assert.equal(captured.pauseMs, 12)
    assert.deepEqual(
      inputs.map(({ pausedBeforeMs }) => pausedBeforeMs),
      [0, 4, 8],
    )
    assert.deepEqual(files, names('heapprofile', 'heapsnapshot'))
  })

  it('count the survey to the pause where the main thread makes it, and there only', async () => {
    const survey = () => {
      const endMs = performance.now() + 5
      while (performance.now() < endMs);
    }
    const here = await take({ children: [WHOLE], survey, isDirect: true })
    assert.ok((here.captured?.pauseMs ?? 0) >= 4 + 5)
    assert.ok((here.inputs[0]?.pausedBeforeMs ?? 0) >= 5)
    for (const name of here.files) rmSync(join(directory, name))
    const elsewhere = await take({ children: [WHOLE], survey })
    assert.deepEqual([elsewhere.captured?.pauseMs, elsewhere.inputs[0]?.pausedBeforeMs], [4, 0])
  })

  it('are tried again when V8 ended the child though there was memory enough', async () => {
    const { captured, log } = await take({ children: [{ end: { signal: SIGABRT } }, WHOLE] })
    assert.deepEqual([captured?.way, forks(log)], ['fork', 2])
    assert.equal(captured?.refusal, undefined)
  })

  it(`are not tried again more than ${FORK_RETRIES} times, and then go in place`, async () => {
    const { captured, log } = await take({ children: [STUCK, STUCK, STUCK] })
    assert.equal(forks(log), 1 + FORK_RETRIES)
    assert.equal(captured?.way, 'v8')
    assert.deepEqual(captured.passedOver, [
      { way: 'fork', why: 'the forked child waited for a thread that only its parent has (fork attempt 3)' },
    ])
  })

  it('keep a profile that an earlier child has written, and do not write it again', async () => {
    const { captured, inputs } = await take({ children: [{ ...STUCK, profile: true }, WHOLE] })
    assert.equal(captured?.artefacts.length, 2)
    assert.equal(inputs[1]?.profile, undefined)
  })

  it('end with the profile and a failure when every child got stuck after it', async () => {
    const { captured, log } = await take({ children: [{ ...STUCK, profile: true }, STUCK, STUCK] })
    assert.deepEqual([captured?.way, captured?.artefacts.length], ['sampling', 1])
    assert.match(captured?.failure?.message ?? '', /waited for a thread.*\(fork attempt 3\)$/)
    assert.equal(captured?.passedOver.at(-1)?.way, 'fork')
    assert.ok(!log.includes('heapSnapshot'))
  })

  for (const [what, end] of [
    ['somebody ended', { signal: SIGTERM }],
    ['took too long', { signal: SIGALRM }],
  ] as const) {
    it(`are a failure, and nothing is taken in place, when the child was one that ${what}`, async () => {
      const { error, log, files } = await take({ children: [{ end }] })
      assert.match(error?.message ?? '', /\(fork attempt 1\)$/)
      assert.ok(!log.includes('heapSnapshot') && !log.includes('samplingProfile'))
      assert.deepEqual(files, [])
    })

    it(`keep the profile beside the failure when the child was one that ${what}`, async () => {
      const { captured, log, files } = await take({ children: [{ profile: true, end }] })
      assert.equal(captured?.way, 'sampling')
      assert.match(captured.failure?.message ?? '', /\(fork attempt 1\)$/)
      assert.ok(!log.includes('heapSnapshot'))
      assert.deepEqual(files, names('heapprofile'))
    })
  }

  it('leave the profile and a refusal with the whole need when the child finds no memory', async () => {
    const hungry = { profile: true, end: { signal: SIGABRT } }
    const { captured, log, files } = await take({ children: [hungry], probe: scant() })
    assert.equal(forks(log), 1)
    assert.equal(captured?.refusal?.skip, 'memory')
    const { needBytes = 0, haveBytes = 0 } = captured.refusal.numbers
    assert.ok(haveBytes > 0 && needBytes > haveBytes, JSON.stringify(captured.refusal))
    assert.equal(captured.failure, undefined)
    assert.deepEqual(files, names('heapprofile'))
  })

  it('do not take from the application what the child has starved of, though it is free by now', async () => {
    let room = scant().memory()
    const probe = { ...roomy(), memory: () => room }
    const hungry = { end: { signal: SIGABRT }, meanwhile: () => (room = roomy().memory()) }
    const { captured, log } = await take({ children: [hungry], probe })
    assert.deepEqual([captured?.way, captured?.refusal?.skip], ['sampling', 'memory'])
    assert.ok(!log.includes('heapSnapshot'))
    assert.match(captured?.passedOver.at(-1)?.why ?? '', /could not allocate memory/)
  })

  it('are not tried again when the memory has gone meanwhile', async () => {
    let room = roomy().memory()
    const probe = { ...roomy(), memory: () => room }
    const stuck = { ...STUCK, meanwhile: () => (room = { ...room, availableBytes: 10 * MIB }) }
    const { captured, log } = await take({ children: [stuck], probe })
    assert.equal(forks(log), 1)
    assert.deepEqual([captured?.way, captured?.refusal?.skip], ['sampling', 'memory'])
  })

  it('leave nothing but a refusal after a hungry child when nothing else fits and nothing is sampled', async () => {
    const probe = roomy()
    let availableBytes = 16 * 1024 * MIB
    const shrinking = { ...probe, memory: () => ({ availableBytes, limitBytes: 32 * 1024 * MIB }) }
    const hungry = { end: { signal: SIGABRT }, meanwhile: () => (availableBytes = 10 * MIB) }
    const { refused, files } = await take({ children: [hungry], probe: shrinking, sampling: false })
    assert.equal(refused?.skip, 'memory')
    assert.ok((refused.numbers['needBytes'] ?? 0) > 20e6)
    assert.deepEqual(files, [])
  })

  it('do not go in place after a hungry child when the memory has gone meanwhile', async () => {
    const probe = roomy()
    let availableBytes = 16 * 1024 * MIB
    const shrinking = { ...probe, memory: () => ({ availableBytes, limitBytes: 32 * 1024 * MIB }) }
    const hungry = { end: { signal: SIGABRT }, meanwhile: () => (availableBytes = 10 * MIB) }
    const { captured, log } = await take({ children: [hungry], probe: shrinking })
    assert.equal(captured?.way, 'sampling')
    assert.equal(captured.refusal?.skip, 'memory')
    assert.ok(!log.includes('heapSnapshot'))
  })

  it('fail for what the child could not write, and do not stop the application for it', async () => {
    const says = { snapshot: { failed: 'ENOSPC: no space' }, peakBytes: 1 }
    const kept = await take({ children: [{ profile: true, says }] })
    assert.match(kept.captured?.failure?.message ?? '', /ENOSPC/)
    assert.deepEqual(kept.files, names('heapprofile'))
    rmSync(join(directory, 'memory-1-1.heapprofile'))
    rmSync(join(directory, 'memory-1-1.heapprofile.json'))
    const none = await take({ children: [{ says }], sampling: false })
    assert.match(none.error?.message ?? '', /ENOSPC/)
    assert.ok(!none.log.includes('heapSnapshot'))
    assert.deepEqual(none.files, [])
  })

  for (const [what, end] of [
    ['reported the failure', {}],
    ['was killed, as by the kernel', { end: { signal: SIGKILL } }],
  ] as const) {
    it(`do not take another file under the final name for the child's, which ${what}`, async () => {
      const meanwhile = () => writeFileSync(join(directory, 'memory-1-1.heapsnapshot'), 'other')
      const says = 'end' in end ? {} : { says: { snapshot: { failed: 'ENOSPC' }, peakBytes: 1 } }
      const { captured } = await take({ children: [{ profile: true, meanwhile, ...says, ...end }] })
      assert.deepEqual([captured?.way, captured?.artefacts.length], ['sampling', 1])
    })
  }

  it('are found under the other name that a child took, though it could not report', async () => {
    const names = ['memory-1-1.heapsnapshot', 'memory-1-1-2.heapsnapshot']
    const child = {
      beforehand: () => names.forEach((name) => writeFileSync(join(directory, name), 'other')),
      ...{ snapshot: true, end: { signal: SIGSEGV } },
    }
    const { captured } = await take({ children: [child], sampling: false })
    const file = join(directory, 'memory-1-1-3.heapsnapshot')
    assert.deepEqual(captured?.artefacts, [{ file, sizeBytes: SNAPSHOT.length }])
  })

  it('go in place when the system refuses to fork, and say why', async () => {
    const { captured, log } = await take({ children: [new Error('fork failed with errno 38')] })
    assert.equal(captured?.way, 'v8')
    assert.equal(captured.passedOver[0]?.why, 'fork failed with errno 38 (fork attempt 1)')
    assert.equal(forks(log), 1)
  })

  for (const [name, why] of [
    ['EAGAIN', 'a limit of processes is reached'],
    ['EMFILE', 'it has too many open files'],
    ['ENFILE', 'the machine has too many open files'],
  ] as const)
    it(`fail, and nothing is taken in place, when a fork is refused for now (${name})`, async () => {
      const refused = new Error(`fork failed with errno ${constants.errno[name]}`)
      const { error, log, files } = await take({ children: [refused] })
      assert.match(error?.message ?? '', new RegExp(`${why} \\(${name}\\) \\(fork attempt 1\\)$`))
      assert.deepEqual([forks(log), log.includes('heapSnapshot'), files], [1, false, []])
    })

  it('are skipped for want of memory, and not taken in place, when the kernel has none for a fork', async () => {
    const without = new Error(`fork failed with errno ${constants.errno.ENOMEM}`)
    const { refused, log } = await take({ children: [without], sampling: false })
    assert.equal(refused?.skip, 'memory')
    assert.deepEqual([forks(log), log.includes('heapSnapshot')], [1, false])
  })

  it('fail, and nothing is taken in place, when another user exchanged the file before the fork, back by now or not', async () => {
    const { error, log } = await take({ children: [{ gone: 'the target file is gone' }], sampling: false })
    assert.match(error?.message ?? '', /file is gone \(fork attempt 1\)/)
    assert.ok(!log.includes('heapSnapshot'))
  })

  it('do not need the survey', async () => {
    const survey = () => {
      throw new Error('no /proc')
    }
    assert.equal((await take({ children: [WHOLE], survey })).captured?.way, 'fork')
  })

  it('say it, and start the sampler again, when the child found it stopped', async () => {
    const says = { ...WHOLE.says, profile: { failed: 'seen nothing' }, sampler: 'stopped' as const }
    const stopped = await take({ children: [{ snapshot: true, says }] })
    assert.deepEqual(stopped.said, ['sampling was stopped'])
    assert.deepEqual(
      stopped.log.filter((order) => order.endsWith('Sampling')),
      ['startSampling', 'stopSampling', 'startSampling'],
    )
  })

  it('do not start the sampler again when it still runs', async () => {
    const { said, log } = await take({ children: [{ ...WHOLE, says: { ...WHOLE.says, sampler: 'ours' } }] })
    assert.deepEqual(said, [])
    assert.ok(!log.includes('stopSampling'))
  })

  it('go without a profile where sampling could not start, and say why once', async () => {
    const startSampling = () => {
      throw new Error('no inspector')
    }
    const { captured, inputs } = await take({ children: [STUCK, WHOLE], startSampling })
    assert.equal(inputs[0]?.profile, undefined)
    assert.deepEqual(captured?.passedOver, [{ way: 'sampling', why: 'no inspector' }])
  })

  it('are limited to the memory that there is, less the reserve and what copies can come to', async () => {
    const { inputs } = await take({ children: [WHOLE], probe: roomy(1e12, 4096 * MIB) })
    const allowance = inputs[0]?.options.dataAllowanceBytes ?? 0
    const most = 4096 * MIB - 0.05 * 32 * 1024 * MIB
    // What this process has of its own is shared with a child: tens of MB for any Node.
    assert.ok(allowance > most - 1000 * MIB && allowance < most - 20 * MIB, String(allowance))
  })
})
