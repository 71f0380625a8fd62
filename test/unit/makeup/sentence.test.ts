import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { MemoryUse, ThreadUse } from '../../../src/makeup/makeup.js'
import * as sentence from '../../../src/makeup/sentence.js'

const { cpuOwner, cpuSentence, guiltyWorker, memoryOwner, memorySentence } = sentence
const MB = 1024 * 1024
const memory: MemoryUse = { rss: 0, workers: [], rest: 0 }

const use = (kind: ThreadUse['kind'], cpuPercent: number, more: Partial<ThreadUse> = {}): ThreadUse => ({
  name: kind,
  kind,
  cpuPercent,
  ...more,
})
const cpu = (threads: ThreadUse[], gcPercent?: number) => ({
  spanMs: 3000,
  cpuPercent: threads.reduce((sum, { cpuPercent }) => sum + cpuPercent, 0),
  threads,
  ...(gcPercent === undefined ? {} : { gcPercent }),
  memory,
})
const monitor = use('monitor', 1)

describe('CPU', () => {
  const cases: [string, ReturnType<typeof cpu>, ReturnType<typeof cpuOwner>, string][] = [
    [
      'a hot worker',
      cpu([use('worker', 97, { id: 3, name: 'resizer' }), use('main', 1), monitor, use('v8', 1)]),
      'worker',
      "CPU 100 % of a core: worker 3 'resizer' used 97 % of it, the main thread 1 %",
    ],
    [
      'a worker without a name',
      cpu([use('worker', 99, { id: 3, name: '' }), use('main', 1)]),
      'worker',
      'CPU 100 % of a core: worker 3 used 99 % of it, the main thread 1 %',
    ],
    [
      'the pool',
      cpu([use('pool', 190, { count: 4 }), use('main', 8), monitor, use('v8', 1)]),
      'pool',
      'CPU 200 % of a core: the thread pool (crypto, zlib, fs, dns) used 95 % of it, the main thread 4 %; ' +
        'no CPU profile shows the work of the thread pool',
    ],
    [
      'collections',
      cpu([use('main', 60), use('v8', 40)], 14),
      'gc',
      'CPU 100 % of a core: the main thread used 60 % of it; garbage collection took 54 % of the time of the main ' +
        "thread and V8's threads",
    ],
    [
      'collections, most of them on the threads of V8',
      cpu([use('v8', 60), use('main', 40)], 10),
      'gc',
      "CPU 100 % of a core: V8's threads (compilation or garbage collection) used 60 % of it, the main thread 40 %; " +
        "garbage collection took 70 % of the time of the main thread and V8's threads",
    ],
    [
      'threads of V8 at work where collections are not counted',
      cpu([use('main', 60), use('v8', 40)]),
      'main',
      'CPU 100 % of a core: the main thread used 60 % of it',
    ],
    [
      'compilation',
      cpu([use('v8', 13.7), use('main', 11), monitor], 0.7),
      'v8',
      "CPU 26 % of a core: V8's threads (compilation or garbage collection) used 53 % of it, the main thread 43 %",
    ],
    [
      'many workers, of which none stands out',
      cpu([
        use('worker', 84, { name: '', count: 42 }),
        use('worker', 2, { id: 7, name: 'a' }),
        use('main', 4),
      ]),
      'worker',
      'CPU 90 % of a core: 42 workers together used 93 % of it, the main thread 4 %',
    ],
    [
      'many threads of addons',
      cpu([use('other', 84, { name: '', count: 30 }), use('main', 6)]),
      'other',
      'CPU 90 % of a core: 30 other threads together used 93 % of it, the main thread 7 %',
    ],
    [
      'threads that have ended',
      cpu([use('other', 84, { name: 'threads that ended or could not be read' }), use('main', 6)]),
      'other',
      'CPU 90 % of a core: threads that ended or could not be read used 93 % of it, the main thread 7 %',
    ],
    [
      'the main thread, with collections by the way',
      cpu([use('main', 98), use('v8', 2)], 12),
      'main',
      'CPU 100 % of a core: the main thread used 98 % of it',
    ],
    [
      'a thread that is not known',
      cpu([use('other', 98, { name: 'tokio-runtime' }), use('main', 2)]),
      'other',
      "CPU 100 % of a core: a thread that is neither Node's nor a known worker's ('tokio-runtime') used 98 % of it, " +
        'the main thread 2 %',
    ],
    [
      'a process that waits, though the monitor works',
      cpu([use('monitor', 2), use('main', 1)]),
      'waiting',
      'CPU 3 % of a core: the process mostly waited (for a child process, a lock, a disk, the network)',
    ],
    [
      'a machine that leaves no CPU at all',
      cpu([use('main', 0, { waitPercent: 100 })]),
      'main',
      'CPU 0 % of a core: the main thread used 0 % of it; the busiest thread was ready to run but had no CPU for 100 % of the time',
    ],
    [
      'a machine whose CPU others use',
      cpu([use('main', 10, { waitPercent: 88 }), monitor]),
      'main',
      'CPU 11 % of a core: the main thread used 91 % of it; the busiest thread was ready to run but had no CPU for 88 % of the time',
    ],
  ]
  for (const [what, makeup, owner, words] of cases)
    test(what, () => {
      assert.equal(cpuOwner(makeup), owner)
      assert.equal(cpuSentence(makeup), words)
    })

  test('a name of the application is one bounded line of text', () => {
    const name = `${'x'.repeat(100)}\n\u001b[31m`
    const words = cpuSentence(cpu([use('worker', 99, { id: 1, name })]))
    assert.match(words, /worker 1 'x{40}…' used/)
    assert.match(
      cpuSentence(cpu([use('worker', 99, { id: 1, name: 'a\nb\u001b' })])),
      /worker 1 'a\?b\?' used/,
    )
  })
})

describe('memory', () => {
  const of = (given: Partial<MemoryUse>) => ({ ...cpu([]), memory: { ...memory, ...given } })
  const worker = (given: Partial<MemoryUse['workers'][number]>) => ({
    ...{ id: 3, name: 'cache', heapUsed: MB, heapTotal: MB, external: 0, arrayBuffers: 0 },
    ...given,
  })
  const main = { heapUsed: 30 * MB, heapTotal: 40 * MB, external: 10 * MB, arrayBuffers: 8 * MB }
  const cases: [string, ReturnType<typeof of>, ReturnType<typeof memoryOwner>, string][] = [
    [
      'the heap of a worker',
      of({
        ...main,
        rss: 400 * MB,
        workers: [worker({ heapTotal: 300 * MB })],
        rest: 50 * MB,
      }),
      'worker',
      "memory 400MB: heap of worker 3 'cache' 300MB, native memory and code 50MB, heap of the main thread 40MB",
    ],
    [
      'the Buffers of a worker',
      of({
        ...main,
        rss: 440 * MB,
        workers: [worker({ heapTotal: 15 * MB, external: 330 * MB, arrayBuffers: 320 * MB })],
        rest: 50 * MB,
      }),
      'worker',
      "memory 440MB: Buffers and ArrayBuffers of worker 3 'cache' 320MB, native memory and code 50MB, " +
        'heap of the main thread 40MB; a heap snapshot shows what refers to Buffers, not their contents',
    ],
    [
      'memory that was transferred to a worker',
      of({ ...main, rss: 400 * MB, workers: [worker({ external: 200 * MB })], rest: 50 * MB }),
      'worker',
      "memory 400MB: other external memory of worker 3 'cache' 200MB, native memory and code 50MB, " +
        'heap of the main thread 40MB',
    ],
    [
      'the heap of the main thread',
      of({ ...main, heapTotal: 340 * MB, rss: 400 * MB, rest: 50 * MB }),
      'main',
      'memory 400MB: heap of the main thread 340MB, native memory and code 50MB, Buffers and ArrayBuffers 8MB',
    ],
    [
      'Buffers',
      of({ ...main, external: 310 * MB, arrayBuffers: 300 * MB, rss: 400 * MB, rest: 50 * MB }),
      'buffers',
      'memory 400MB: Buffers and ArrayBuffers 300MB, native memory and code 50MB, heap of the main thread 40MB; ' +
        'a heap snapshot shows what refers to Buffers, not their contents',
    ],
    [
      'native memory',
      of({ ...main, rss: 400 * MB, rest: 350 * MB }),
      'rest',
      'memory 400MB: native memory and code 350MB, heap of the main thread 40MB, Buffers and ArrayBuffers 8MB; ' +
        'no snapshot shows native memory',
    ],
    [
      'native memory, in which a worker is that could not be read',
      of({ ...main, rss: 400 * MB, rest: 350 * MB, unread: [{ id: 3, name: 'cache' }] }),
      'rest',
      "memory 400MB: native memory, code and worker 3 'cache' (not measured separately) 350MB, heap of the main thread 40MB, " +
        'Buffers and ArrayBuffers 8MB; no snapshot shows native memory',
    ],
    [
      'native memory, in which several workers are that could not be read',
      of({
        ...main,
        rss: 400 * MB,
        rest: 350 * MB,
        unread: [
          { id: 3, name: '' },
          { id: 4, name: '' },
        ],
      }),
      'rest',
      'memory 400MB: native memory, code and 2 workers (not measured separately) 350MB, heap of the main thread 40MB, ' +
        'Buffers and ArrayBuffers 8MB; no snapshot shows native memory',
    ],
    [
      'a small process, of which Node.js itself is the most',
      of({ ...main, rss: 200 * MB, heapTotal: 60 * MB, rest: 110 * MB, restAtStart: 100 * MB }),
      'main',
      'memory 200MB: heap of the main thread 60MB, native memory and code 110MB, Buffers and ArrayBuffers 8MB',
    ],
    ['a main thread that has not reported', of({ rss: 400 * MB, rest: 400 * MB }), 'rest', 'memory 400MB'],
  ]
  for (const [what, makeup, owner, words] of cases)
    test(what, () => {
      assert.equal(memoryOwner(makeup.memory), owner)
      assert.equal(guiltyWorker(makeup.memory)?.name, owner === 'worker' ? 'cache' : undefined)
      assert.equal(memorySentence(makeup), words)
    })
})
