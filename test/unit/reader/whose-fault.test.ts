import assert from 'node:assert/strict'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { listIncidents } from '../../../src/reader/list'
import type { Report } from '../../../src/reader/model'
import { createReport } from '../../../src/reader/report'
import { reader, scratch } from '../../e2e/reader/command'
import { parkedOrders, smallSnapshot } from './small-snapshot'

const { folder, remove } = scratch()
after(remove)

const MAIN = { kind: 'main', id: 0, name: '' }
const RESIZER = { kind: 'worker', id: 3, name: 'resizer' }
const POOL = { kind: 'pool', name: 'thread pool', count: 4 }
const MB = 1e6

const nodesOf = (functions: readonly string[]): readonly (readonly [number, string])[] =>
  functions.map((name, at) => [at + 2, name])

const frame = (functionName: string): object => ({
  functionName,
  url: 'file:///app/a.js',
  lineNumber: 6,
  columnNumber: 0,
})

/** A CPU profile of functions that ran for the same time each. */
function profile(...functions: string[]): string {
  const nodes = [
    { id: 1, callFrame: frame('(root)'), children: nodesOf(functions).map(([id]) => id) },
    ...nodesOf(functions).map(([id, name]) => ({ id, callFrame: frame(name), hitCount: 10 })),
  ]
  return JSON.stringify({ nodes, startTime: 0, endTime: 1e6 })
}

const FLAT = profile('a', 'b', 'c', 'd', 'e', 'f', 'g', 'h')

/** A sampling heap profile of one function. */
const heapProfile = (name: string): string =>
  JSON.stringify({
    head: {
      callFrame: frame('(root)'),
      selfSize: 0,
      children: [{ callFrame: frame(name), selfSize: 1000, children: [] }],
    },
  })

/** Begins in execSync, which `render` has called; the function `react` runs from then on. */
function heldProfile(): string {
  const nodes = [
    { id: 1, callFrame: frame('(root)'), children: [2, 4] },
    { id: 2, callFrame: frame('render'), children: [3] },
    { id: 3, callFrame: { ...frame('execSync'), url: 'node:child_process' } },
    { id: 4, callFrame: frame('react') },
  ]
  const samples = [3, ...Array.from({ length: 49 }, () => 4)]
  const timeDeltas = samples.map(() => 1000)
  return JSON.stringify({ nodes, samples, timeDeltas, startTime: 0, endTime: 51_000 })
}

const HELD =
  /^The main thread did not respond for 18\.90 s before this profile, which begins in execSync \(node:child_process:7\), called by render \(\/app\/a\.js:7\)\.$/

interface Given {
  readonly thread?: object
  readonly threads?: readonly object[]
  readonly gcPercent?: number
  readonly memory?: object
  readonly busyMs?: number
  readonly lateMs?: number
  readonly kind?: 'cpu' | 'memory'
  readonly rule?: string
  readonly metric?: string
}

/** The `.json` beside a file of a dump. */
function description(given: Given): string {
  const { thread = MAIN, threads = [], gcPercent, memory, busyMs, lateMs, kind = 'cpu' } = given
  const { rule = 'threshold', metric } = given
  return JSON.stringify({
    tool: 'cpu-memory-monitor',
    why: { kind, rule, details: { metric }, readings: [] },
    thread,
    how: { way: 'inspector', notes: { busyMs, lateMs } },
    where: { pid: 7 },
    makeup: { spanMs: 2000, cpuPercent: 100, threads, gcPercent, memory },
  })
}

let count = 0

/** A directory with the files of one dump, each with its content and its description. */
function dump(files: Readonly<Record<string, readonly [string, Given]>>): string {
  const directory = join(folder, String(count++))
  mkdirSync(directory)
  for (const [name, [content, given]] of Object.entries(files)) {
    writeFileSync(join(directory, name), content)
    writeFileSync(join(directory, `${name}.json`), description(given))
  }
  return directory
}

function report(path: string): Promise<Report> {
  return createReport({
    paths: [path],
    onProgress: () => undefined,
    runAnalysis: () => assert.fail('there is no snapshot'),
  })
}

function listed(directory: string): string {
  const options = { command: 'ls', directory, sinceMs: 0, sort: 'time', isJson: true } as const
  const [incident] = listIncidents(options).incidents
  return incident?.verdict ?? ''
}

const CPU = 'cpu-7-1700000000000.cpuprofile'
const CPU_OF_WORKER = 'cpu-7-1700000000000-worker-3.cpuprofile'
const SNAPSHOT = 'memory-7-1700000000000.heapsnapshot'
const SAMPLED = 'memory-7-1700000000000.heapprofile'
const SAMPLED_OF_WORKER = 'memory-7-1700000000000-worker-3.heapprofile'

describe('the first line of a CPU dump', { timeout: 300_000 }, () => {
  const busy = (main: number, worker: number, pool = 0): Given => ({
    threads: [
      { ...MAIN, cpuPercent: main },
      { ...RESIZER, cpuPercent: worker },
      { ...POOL, cpuPercent: pool },
    ],
  })

  it('is that the thread pool used the CPU, which no profile shows; the function comes second', async () => {
    const directory = dump({ [CPU]: [profile('submitJob'), busy(15, 0, 350)] })
    const { verdict, parts } = await report(directory)
    const line =
      'CPU 365 % of a core: the thread pool (crypto, zlib, fs, dns) used 96 % of it, the main thread 4 %; ' +
      'no CPU profile shows the work of the thread pool.'
    assert.equal(verdict.found, false)
    assert.equal(verdict.sentence, line)
    assert.match(
      verdict.hint ?? '',
      /^main thread: submitJob \(\/app\/a\.js:7\) used 100\.0 % of the busy CPU/,
    )
    assert.equal(parts[0]?.verdict.found, true)
    assert.equal(listed(directory), line)
  })

  it('is the function where the main thread used the CPU', async () => {
    const directory = dump({ [CPU]: [profile('submitJob'), busy(95, 0, 5)] })
    const { verdict } = await report(directory)
    assert.match(verdict.sentence, /^submitJob \(\/app\/a\.js:7\) used 100\.0 %/)
    assert.match(listed(directory), /^submitJob /)
  })

  it('is of the busy worker, however flat its profile and however clear that of the main thread is', async () => {
    const directory = dump({
      [CPU]: [profile('logRequest'), { ...busy(12, 97), busyMs: 120 }],
      [CPU_OF_WORKER]: [FLAT, { ...busy(12, 97), thread: RESIZER, busyMs: 970 }],
    })
    const { verdict, parts } = await report(directory)
    assert.match(verdict.sentence, /^worker 3 'resizer': No single function stands out: the largest, \w /)
    assert.match(parts[1]?.verdict.sentence ?? '', /^logRequest /)
    assert.match(listed(directory), /^worker 3 'resizer': No single function stands out/)
  })

  it('names no function of the main thread where the file of the busy worker cannot be read', async () => {
    const { verdict } = await report(
      dump({
        [CPU]: [profile('logRequest'), { ...busy(12, 97), busyMs: 120 }],
        [CPU_OF_WORKER]: ['{"nodes":', { ...busy(12, 97), thread: RESIZER, busyMs: 970 }],
      }),
    )
    assert.match(verdict.sentence, /^CPU 109 % of a core: worker 3 'resizer' used 89 % of it/)
    assert.match(verdict.hint ?? '', /^main thread: logRequest /)
  })

  it('is whose CPU it was for the file of another thread, and the function for the file of that thread', async () => {
    const directory = dump({
      [CPU]: [profile('logRequest'), busy(12, 97)],
      [CPU_OF_WORKER]: [profile('resize'), { ...busy(12, 97), thread: RESIZER }],
    })
    const ofMain = await report(join(directory, CPU))
    assert.match(ofMain.verdict.sentence, /^CPU 109 % of a core: worker 3 'resizer' used 89 % of it/)
    const ofWorker = await report(join(directory, CPU_OF_WORKER))
    assert.match(ofWorker.verdict.sentence, /^worker 3 'resizer': resize \(\/app\/a\.js:7\) used 100\.0 %/)
  })

  it('is garbage collection where that took a third of the time', async () => {
    const { verdict } = await report(
      dump({
        [CPU]: [profile('parse'), { threads: [{ ...MAIN, cpuPercent: 100 }], gcPercent: 60 }],
      }),
    )
    assert.match(verdict.sentence, /garbage collection took 60 % of the time of the main thread/)
    assert.match(verdict.hint ?? '', /^main thread: parse /)
  })

  for (const [what, lateMs, isHeld] of [
    ['what held the main thread, where it took the order late', 18_900, true],
    ['what used the CPU, where it took the order almost at once', 700, false],
  ] as const)
    it(`is ${what}`, async () => {
      const directory = dump({
        [`blocked-${CPU}`]: [heldProfile(), { ...busy(1, 0), rule: 'blocked', lateMs }],
      })
      const { verdict } = await report(directory)
      assert.equal(verdict.found, true)
      assert.match(verdict.sentence, isHeld ? HELD : /^react .* used 98\.0 % of the busy CPU/)
      assert.match(verdict.hint ?? '', isHeld ? /^After that: react / : /^$/)
      assert.match(listed(directory), isHeld ? HELD : /^react /)
    })

  it('is the thread pool that used the CPU, although the main thread took the order late', async () => {
    const directory = dump({ [CPU]: [heldProfile(), { ...busy(15, 0, 350), lateMs: 2000 }] })
    assert.match((await report(directory)).verdict.sentence, /the thread pool .* used 96 % of it/)
  })

  for (const [rule, metric] of [
    ['blocked', undefined],
    ['slow-loop', 'eventLoopDelay'],
  ] as const)
    it(`is what the main thread did, for the rule ${rule}, whichever thread is busy meanwhile`, async () => {
      const given = { ...busy(0, 97), rule, ...(metric && { metric }) }
      const directory = dump({
        [`${rule}-${CPU}`]: [profile('execSync'), { ...given, busyMs: 0 }],
        [`${rule}-${CPU_OF_WORKER}`]: [profile('resize'), { ...given, thread: RESIZER, busyMs: 970 }],
      })
      assert.match((await report(directory)).verdict.sentence, /^execSync /)
      assert.match(listed(directory), /^execSync /)
    })

  it('is the function where the description has no thread that used the CPU', async () => {
    for (const threads of [[], [{}], [{ kind: 'main', cpuPercent: -1 }]]) {
      const { verdict } = await report(dump({ [CPU]: [profile('submitJob'), { threads }] }))
      assert.match(verdict.sentence, /^submitJob /)
    }
  })
})

describe('the first line of a memory dump', { timeout: 300_000 }, () => {
  const holding = (memory: object): Given => ({
    kind: 'memory',
    memory: { rss: 400 * MB, heapTotal: 20 * MB, external: 0, workers: [], ...memory },
  })
  const native = holding({ rest: 380 * MB, restAtStart: 50 * MB })
  const firstLine = async (path: string): Promise<string> => {
    const { code, stdout, stderr } = await reader('report', path)
    assert.equal(code, 0, stderr)
    return stdout.split('\n')[0] ?? ''
  }
  const snapshot = smallSnapshot(parkedOrders(50))
  const nativeLine =
    'Memory 400.0 MB: native memory and code 380.0 MB, heap of the main thread 20.0 MB; no snapshot shows native memory.'

  it('is that the memory is native; the class comes second', async () => {
    const directory = dump({ [SNAPSHOT]: [snapshot, native] })
    const { stdout } = await reader('report', directory)
    const [first, second] = stdout.split('\n')
    assert.equal(first, nativeLine)
    assert.match(second ?? '', /^main thread: 50 objects of class ParkedOrder /)
    assert.equal(listed(directory), `${nativeLine} Read it with: report ${SNAPSHOT}`)
  })

  it('names a worker that could not be read', async () => {
    const unread = [{ id: 3, name: 'cache' }]
    const silent = holding({ rest: 380 * MB, restAtStart: 50 * MB, unread })
    assert.equal(
      await firstLine(dump({ [SNAPSHOT]: [snapshot, silent] })),
      "Memory 400.0 MB: native memory, code and worker 3 'cache' (not measured separately) 380.0 MB, " +
        'heap of the main thread 20.0 MB; no snapshot shows native memory.',
    )
  })

  it('is the class where the heap is the owner, and `ls` names the heap', async () => {
    const heap = holding({ heapTotal: 300 * MB, rest: 100 * MB, restAtStart: 50 * MB })
    const directory = dump({ [SNAPSHOT]: [snapshot, heap] })
    assert.match(await firstLine(directory), /^50 objects of class ParkedOrder /)
    assert.match(
      listed(directory),
      /^Memory 400\.0 MB: heap of the main thread 300\.0 MB, native .* Read it with: report memory-7/,
    )
  })

  it('is the class for a suspected leak, which is found in the heap, whatever else the process holds', async () => {
    const directory = dump({ [`leak-${SNAPSHOT}`]: [snapshot, { ...native, rule: 'leak' }] })
    assert.match(await firstLine(directory), /^50 objects of class ParkedOrder /)
    assert.match(listed(directory), /^Read it with: report leak-memory/)
  })

  it('is that Buffers hold the memory, for a sampling profile, which shows none', async () => {
    const buffers = holding({ external: 300 * MB, arrayBuffers: 300 * MB, rest: 80 * MB })
    const directory = dump({ [SAMPLED]: [heapProfile('load'), buffers] })
    const { verdict } = await report(directory)
    assert.match(verdict.sentence, /^Memory 400\.0 MB: Buffers and ArrayBuffers 300\.0 MB, native/)
    assert.match(verdict.hint ?? '', /^main thread: load /)
    const both = dump({ [SNAPSHOT]: [snapshot, buffers] })
    assert.match(await firstLine(both), /^50 objects of class ParkedOrder /)
  })

  it('is of the worker whose heap holds the memory, also where that has no snapshot', async () => {
    const worker = { ...RESIZER, heapUsed: 300 * MB, heapTotal: 300 * MB }
    const ofWorker = holding({ workers: [worker], rest: 80 * MB, restAtStart: 50 * MB })
    const directory = dump({
      [SNAPSHOT]: [snapshot, ofWorker],
      [SAMPLED_OF_WORKER]: [heapProfile('resize'), { ...ofWorker, thread: RESIZER }],
    })
    assert.match(await firstLine(directory), /^worker 3 'resizer': resize \(\/app\/a\.js:7\) allocated/)
    assert.match(listed(directory), /^worker 3 'resizer': resize /)
    assert.match(
      await firstLine(join(directory, SNAPSHOT)),
      /^Memory 400\.0 MB: heap of worker 3 'resizer' 300\.0 MB, native/,
    )
  })

  it('is of the worker whose Buffers hold the memory', async () => {
    const worker = {
      ...RESIZER,
      heapUsed: 5 * MB,
      heapTotal: 10 * MB,
      external: 290 * MB,
      arrayBuffers: 290 * MB,
    }
    const makeup = holding({ workers: [worker], rest: 80 * MB, restAtStart: 50 * MB })
    const directory = dump({
      [SNAPSHOT]: [snapshot, makeup],
    })
    assert.match(
      await firstLine(directory),
      /^Memory 400\.0 MB: Buffers and ArrayBuffers of worker 3 'resizer' 290\.0 MB, native/,
    )
    const sampled = dump({ [SAMPLED]: [heapProfile('load'), makeup] })
    const { circumstances } = await report(sampled)
    const shown = circumstances?.memory.map(({ name }) => name)
    assert.ok(shown?.includes("Buffers and ArrayBuffers of worker 3 'resizer'"), String(shown))
  })
})
