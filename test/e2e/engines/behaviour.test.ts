import assert from 'node:assert/strict'
import { readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import type { Captured, Refusal } from '../../../dist/capture/capture'
import type { Sidecar } from '../../../dist/files/sidecar'
import { whyNoHelper } from '../fork/native/forking-server'
import { missing, withProgram } from './program'

/** What a failed promise of a program looks like in its report. */
interface Rejected {
  readonly rejected?: string
  readonly code?: string
}

interface Traces {
  readonly samplerRuns: boolean
  readonly caughtSignals: string
}

interface CpuReport {
  readonly captured: Captured & Rejected
  readonly again?: Captured & Rejected
  readonly strangers?: number | string
  readonly said: readonly string[]
  readonly before: Traces
  readonly after: Traces
}

interface HeapReport {
  readonly plan: { skip?: string; numbers?: Refusal['numbers']; refusal?: Refusal }
  readonly first?: Omit<Captured, 'failure'> & Rejected & { failure?: string }
  readonly second?: Captured & Rejected
  readonly said: readonly string[]
  readonly strangerStillSamples?: boolean
  readonly before: Traces
  readonly after: Traces
  readonly leaked: number
}

interface CpuProfile {
  readonly nodes: readonly {
    readonly id: number
    readonly hitCount: number
    readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number }
  }[]
  readonly startTime: number
  readonly endTime: number
  readonly samples: readonly number[]
  readonly timeDeltas: readonly number[]
}

interface HeapProfileNode {
  readonly callFrame: { readonly functionName: string }
  readonly selfSize: number
  readonly children: readonly HeapProfileNode[]
}

const ENGINES = [
  { engine: 'builtin', cpuWay: 'inspector', heapWay: 'v8', noCpu: false, noHeap: false },
  {
    engine: 'auto',
    cpuWay: 'v8-profiler-next',
    heapWay: 'heapdump',
    noCpu: missing('v8-profiler-next'),
    noHeap: missing('heapdump'),
  },
] as const

const HEAP_WAYS = [
  ...ENGINES.map((engine) => ({ ...engine, forks: false })),
  { engine: 'auto', forks: true, heapWay: 'fork', noHeap: whyNoHelper() },
]

const HOT = 'burnTheCpu'
const LEAKED_CLASS = 'LeakedThing'
const LEAKING = 'leakThings'
const MIB = 1024 * 1024

for (const { engine, cpuWay, noCpu } of ENGINES) {
  describe(`CPU profile, engine ${engine}`, { skip: noCpu, concurrency: 1 }, () => {
    it('names the hot function, in the format that DevTools reads today', () =>
      withProgram<CpuReport>(
        'cpu-profile.js',
        { engine, durationMs: 2000 },
        ({ report, directory, files }) => {
          const { captured } = report
          assert.equal(captured.rejected, undefined)
          assert.equal(captured.way, cpuWay)
          const [name = ''] = files
          assert.deepEqual(files, [name, `${name}.json`])
          assert.equal(captured.artefacts[0].file, join(directory, name))
          assert.equal(mode(captured.artefacts[0].file), 0o600)

          const profile = readJson<CpuProfile>(captured.artefacts[0].file)
          assert.equal(hottest(profile), HOT)
          assert.ok(profile.samples.length > 0)
          assert.equal(profile.samples.length, profile.timeDeltas.length)
          assert.ok(profile.endTime > profile.startTime)
          const ids = new Set(profile.nodes.map((node) => node.id))
          assert.ok(profile.samples.every((id) => ids.has(id)))

          const { how } = sidecar(captured.artefacts[0].file)
          assert.equal(how.way, cpuWay)
          assert.equal(how.sizeBytes, statSync(captured.artefacts[0].file).size)
          assert.equal(how.notes?.['endedEarly'], false)
          assert.ok(how.pauseMs > 0)
        },
      ))

    it('names a loop that was hot before the profile began', () =>
      withProgram<CpuReport>(
        'cpu-profile.js',
        { engine, durationMs: 2500, burnMs: 200, warmBurns: 5 },
        ({ report }) => {
          const { file } = report.captured.artefacts[0]
          assert.equal(hottest(readJson<CpuProfile>(file)), HOT)
          assert.equal(sidecar(file).how.notes?.['discardedOptimizedCode'], true)
        },
      ))

    it('keeps the optimized code of a process whose event loop turns often, however busy it is', () =>
      withProgram<CpuReport>('cpu-profile.js', { engine, durationMs: 600, burnMs: 4 }, ({ report }) => {
        const { notes } = sidecar(report.captured.artefacts[0].file).how
        assert.equal(notes?.['discardedOptimizedCode'], false)
      }))

    it('does not name it in a process that idles', () =>
      withProgram<CpuReport>('cpu-profile.js', { engine, durationMs: 200, idle: true }, ({ report }) => {
        const profile = readJson<CpuProfile>(report.captured.artefacts[0].file)
        assert.ok(profile.nodes.every((node) => node.callFrame.functionName !== HOT))
      }))

    it('ends early with a whole file', () =>
      withProgram<CpuReport>(
        'cpu-profile.js',
        { engine, durationMs: 600_000, endAfterBurns: 10 },
        ({ report }) => {
          const { file } = report.captured.artefacts[0]
          assert.equal(hottest(readJson<CpuProfile>(file)), HOT)
          assert.equal(sidecar(file).how.notes?.['endedEarly'], true)
        },
      ))

    it('does not end early unless it is told to', () =>
      withProgram<CpuReport>('cpu-profile.js', { engine, durationMs: 300 }, ({ report }) => {
        const { startTime, endTime } = readJson<CpuProfile>(report.captured.artefacts[0].file)
        assert.ok(endTime - startTime >= 290_000, `${endTime - startTime} µs`)
      }))

    it('leaves nothing in the process', () =>
      withProgram<CpuReport>('cpu-profile.js', { engine, durationMs: 100 }, ({ report }) => {
        assert.deepEqual(report.after, report.before)
      }))

    it('leaves no file and no running profiler when its directory vanishes', () =>
      withProgram<CpuReport>(
        'cpu-profile.js',
        { engine, durationMs: 200, trouble: 'directory-vanishes' },
        ({ report, files }) => {
          assert.match(report.captured.rejected ?? '', /ENOENT/)
          assert.equal(report.again?.rejected, undefined)
          assert.equal(files.length, 2)
          assert.deepEqual(report.after, report.before)
        },
      ))

    it("does not end another session's profile", () =>
      withProgram<CpuReport>(
        'cpu-profile.js',
        { engine, durationMs: 200, trouble: 'stranger' },
        ({ report }) => {
          assert.equal(report.captured.rejected, undefined)
          assert.ok(Number(report.strangers) > 0, String(report.strangers))
        },
      ))
  })
}

for (const { engine, forks, heapWay, noHeap } of HEAP_WAYS) {
  describe(`memory dump, engine ${engine}, by ${heapWay}`, { skip: noHeap, concurrency: 1 }, () => {
    it('counts the leaked class in the snapshot and names the leaking function in the profile', () =>
      withProgram<HeapReport>('heap-dump.js', { engine, forks }, ({ report, files }) => {
        const { first } = report
        assert.equal(first?.rejected, undefined)
        assert.equal(first?.way, heapWay)
        assert.equal(first.artefacts.length, 2)
        const [snapshot, profile] = first.artefacts.map(({ file }) => file) as [string, string]
        assert.equal(profile, snapshot.replace(/snapshot$/, 'profile'))
        assert.equal(files.length, 4)
        assert.equal(mode(snapshot), 0o600)
        assert.equal(mode(profile), 0o600)

        assert.equal(countInstances(snapshot, LEAKED_CLASS), report.leaked)
        assert.equal(largestAllocator(profile), LEAKING)

        assert.equal(sidecar(snapshot).how.way, heapWay)
        const how = sidecar(profile).how
        assert.equal(how.way, 'sampling')
        assert.equal(how.notes?.[forks ? 'inForkedChild' : 'forcedFullGc'], true)
        assert.equal(how.notes['sampler'], 'ours')
        assert.deepEqual(report.after, report.before)
      }))

    it('does not leave a sampling profile when sampling is off', () =>
      withProgram<HeapReport>(
        'heap-dump.js',
        { engine, forks, sampling: false, things: 10 },
        ({ report, files }) => {
          assert.equal(report.first?.artefacts.length, 1)
          assert.deepEqual(
            files.filter((name) => name.includes('heapprofile')),
            [],
          )
          assert.deepEqual(report.after, report.before)
        },
      ))

    it('overwrites nothing when the name is taken, and writes under another', () =>
      withProgram<HeapReport>(
        'heap-dump.js',
        { engine, forks, trouble: 'name-taken' },
        ({ report, directory, files }) => {
          const taken = files.filter(
            (name) => name.endsWith('.heapsnapshot') && !name.endsWith('-2.heapsnapshot'),
          )
          assert.equal(taken.length, 1)
          assert.equal(readFileSync(join(directory, taken[0] ?? ''), 'utf8'), 'theirs')
          const other = (taken[0] ?? '').replace('.heapsnapshot', '-2.heapsnapshot')
          assert.deepEqual([report.first?.rejected, report.first?.failure], [undefined, undefined])
          assert.ok(report.first?.artefacts.some(({ file }) => file === join(directory, other)))
          assert.ok(files.includes(`${other}.json`))
          assert.deepEqual(
            files.filter((name) => name.endsWith('.partial') || name === `${taken[0]}.json`),
            [],
          )
        },
      ))

    it('rejects and leaves no half file when nothing can be written', () =>
      withProgram<HeapReport>(
        'heap-dump.js',
        { engine, forks, things: 10, trouble: 'no-directory' },
        ({ report, files }) => {
          assert.equal(report.first?.code, 'ENOENT')
          assert.deepEqual(files, [])
          assert.deepEqual(report.after, report.before)
        },
      ))
  })
}

describe('memory dump', { concurrency: 1 }, () => {
  const engine = 'builtin'
  const room = { availableBytes: 100 * MIB, limitBytes: 512 * MIB }

  it('takes the profile alone when a snapshot does not fit, and says so with the numbers', () =>
    withProgram<HeapReport>('heap-dump.js', { engine, room, things: 20_000 }, ({ report, files }) => {
      const { refusal } = report.plan
      assert.equal(refusal?.skip, 'memory')
      assert.equal(refusal.numbers['haveBytes'], 36 * MIB)
      assert.ok(Number(refusal.numbers['needBytes']) > 36 * MIB)
      assert.equal(report.first?.way, 'sampling')
      assert.equal(files.length, 2)
      const { file } = report.first.artefacts[0]
      assert.equal(largestAllocator(file), LEAKING)
      assert.match(
        sidecar(file).how.passedOver.find(({ way }) => way === 'v8')?.why ?? '',
        /needs [\d.]+[MGT]B of memory/,
      )
    }))

  it('refuses when a snapshot does not fit and sampling is off', () =>
    withProgram<HeapReport>('heap-dump.js', { engine, room, sampling: false }, ({ report, files }) => {
      assert.equal(report.plan.skip, 'memory')
      assert.deepEqual(files, [])
    }))

  it('refuses when the file would not fit on the disk', () =>
    withProgram<HeapReport>(
      'heap-dump.js',
      { engine, room: { diskBytes: 256 * MIB } },
      ({ report, files }) => {
        assert.equal(report.plan.skip, 'disk')
        assert.equal(report.plan.numbers?.['freeBytes'], 256 * MIB)
        assert.deepEqual(files, [])
      },
    ))

  it("reads along with another user's sampler and never stops it", () =>
    withProgram<HeapReport>(
      'heap-dump.js',
      { engine, things: 20_000, trouble: 'stranger-samples' },
      ({ report }) => {
        assert.equal(report.first?.artefacts.length, 2)
        assert.equal(sidecar(report.first.artefacts[1]?.file ?? '').how.notes?.['sampler'], 'foreign')
        assert.equal(report.strangerStillSamples, true)
        assert.deepEqual(report.said, [])
      },
    ))

  it('restarts a sampler that another user stopped, and says so once', () =>
    withProgram<HeapReport>(
      'heap-dump.js',
      { engine, things: 10, trouble: 'stranger-stops' },
      ({ report }) => {
        assert.match(report.first?.passedOver.at(-1)?.why ?? '', /other code in this process had stopped/)
        assert.equal(report.second?.artefacts.length, 2)
        assert.deepEqual(report.said, ['sampling was stopped'])
        assert.equal(report.strangerStillSamples, false)
      },
    ))
})

describe('an application that uses v8-profiler-next itself', { skip: missing('v8-profiler-next') }, () => {
  it('keeps its profile; ours is taken by the inspector', () =>
    withProgram<CpuReport>(
      'cpu-profile.js',
      { engine: 'packages', durationMs: 200, trouble: 'same-package' },
      ({ report }) => {
        assert.equal(report.captured.way, 'inspector')
        assert.equal(report.captured.passedOver[0]?.way, 'v8-profiler-next')
        assert.equal(report.strangers, 'theirs')
      },
    ))
})

function readJson<T>(file: string): T {
  return JSON.parse(readFileSync(file, 'utf8')) as T
}

function sidecar(file: string): Sidecar {
  return readJson<Sidecar>(`${file}.json`)
}

function mode(file: string): number {
  return statSync(file).mode & 0o777
}

function hottest({ nodes }: CpuProfile): string | undefined {
  const ours = nodes.filter(({ callFrame }) => callFrame.url.includes('cpu-profile.js'))
  return ours.sort((one, other) => other.hitCount - one.hitCount)[0]?.callFrame.functionName
}

function largestAllocator(file: string): string | undefined {
  const sizes = new Map<string, number>()
  const visit = ({ callFrame, selfSize, children }: HeapProfileNode): void => {
    sizes.set(callFrame.functionName, (sizes.get(callFrame.functionName) ?? 0) + selfSize)
    children.forEach(visit)
  }
  visit(readJson<{ head: HeapProfileNode }>(file).head)
  sizes.delete(LEAKED_CLASS)
  return [...sizes].sort(([, one], [, other]) => other - one)[0]?.[0]
}

/** Objects of a class in a snapshot, told from its functions and prototypes by having a field of its constructor. */
function countInstances(file: string, className: string): number {
  interface Snapshot {
    readonly snapshot: { readonly meta: { node_fields: string[]; node_types: [string[], ...unknown[]] } }
    readonly nodes: readonly number[]
    readonly strings: readonly string[]
  }
  const { snapshot, nodes, strings } = readJson<Snapshot>(file)
  const { node_fields: fields, node_types: types } = snapshot.meta
  const [typeAt, nameAt, sizeAt] = ['type', 'name', 'self_size'].map((field) => fields.indexOf(field)) as [
    number,
    number,
    number,
  ]
  const object = types[0].indexOf('object')
  const name = strings.indexOf(className)
  const sizes = new Map<number, number>()
  for (let at = 0; at < nodes.length; at += fields.length) {
    if (nodes[at + typeAt] !== object || nodes[at + nameAt] !== name) continue
    const size = nodes[at + sizeAt] as number
    sizes.set(size, (sizes.get(size) ?? 0) + 1)
  }
  return Math.max(0, ...sizes.values())
}
