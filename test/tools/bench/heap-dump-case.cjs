// One case of the benchmark: node heap-dump-case.cjs <shape> <MB> <way> [cgroup.procs]. Fills a heap, serves requests, and dumps
// when told.
'use strict'
const http = require('node:http')
const v8 = require('node:v8')
const { statSync, openSync, writeFileSync, writeSync } = require('node:fs')
const { createRequire } = require('node:module')
const { join } = require('node:path')

const [shape, megabytes, way, procs] = process.argv.slice(2)
if (procs) writeFileSync(procs, String(process.pid))
const bytes = Number(megabytes) * 1e6
const heap = []

class SmallObject {
  constructor(number) {
    this.number = number
    this.tags = [number, { number }]
  }
}

/** Each adds a little to the heap; buffers lie outside it. */
const grow = {
  objects: (number) => heap.push(new SmallObject(number)),
  strings: (number) => heap.push(Buffer.alloc(100_000, `${number} `).toString('latin1')),
  closures(number) {
    const held = { number }
    heap.push(() => held.number)
  },
  maps(number) {
    if (number % 1000 === 0) heap.push(new Map())
    heap.at(-1).set(`key ${number}`, number / 3)
  },
  buffers: (number) => heap.push(Buffer.alloc(16_384, number)),
}

function fill() {
  const used = () => {
    const { heapUsed, arrayBuffers } = process.memoryUsage()
    return heapUsed + arrayBuffers
  }
  for (let number = 0; number % 100 !== 0 || used() < bytes; number++) grow[shape](number)
}

const file = join(process.cwd(), 'bare.heapsnapshot')
const load = (name) => createRequire(join(process.env.CMM_TEST_PACKAGES, 'x.js'))(name)
const timed = (work) => {
  const startedAtMs = performance.now()
  work()
  const pauseMs = performance.now() - startedAtMs
  if (statSync(file).size === 0) throw new Error('the file is empty')
  return { pauseMs, totalMs: pauseMs, way }
}

/** Our own capturer, by the rungs that are wanted. */
function ours(fork) {
  const { createHeapCapturer } = require('../../../dist/capture/heap/ladder.js')
  const { createOrders } = require('../../../dist/capture/main-thread/carry-out.js')
  const { createDirectMainThread } = require('../../../dist/capture/main-thread/direct.js')
  const { createRoomProbe } = require('../../../dist/capture/room-probe.js')
  const none = { passedOver: [] }
  const engines = { cpu: none, memory: none, leak: none }
  const quiet = { orderLate() {}, childAtWork() {}, samplingWasStopped() {}, samplingFailed() {} }
  const capturer = createHeapCapturer({
    mainThread: createDirectMainThread(createOrders(engines)),
    engine: none,
    probe: createRoomProbe(),
    observer: quiet,
    sampling: true,
    nodeMajor: Number(process.versions.node.split('.')[0]),
    ...fork,
  })
  return async () => {
    const startedAtMs = performance.now()
    const directory = process.cwd()
    const plan = await capturer.plan(directory)
    if (plan.skip) throw new Error(JSON.stringify(plan))
    const captured = await plan.take(
      {
        directory,
        baseName: `memory-${process.pid}-${Date.now()}`,
        durationMs: 0,
        sidecar: {
          why: { kind: 'memory', rule: 'manual', details: {}, readings: [] },
          where: { node: '', v8: '', pid: process.pid, host: '', directory, startedAt: '', limits: {} },
        },
      },
      new AbortController().signal,
    )
    return { pauseMs: captured.pauseMs, totalMs: performance.now() - startedAtMs, way: captured.way }
  }
}

const prepare = {
  fork: () => ours({}),
  'in place': () => ours({ fork: { unavailable: 'left out by the benchmark' } }),
  v8: () => () => timed(() => v8.writeHeapSnapshot(file)),
  heapdump() {
    const heapdump = load('heapdump')
    return () => timed(() => heapdump.writeSnapshot(file))
  },
  'v8-profiler-next'() {
    const profiler = load('v8-profiler-next')
    return () =>
      timed(() => {
        const snapshot = profiler.takeSnapshot()
        const descriptor = openSync(file, 'w')
        snapshot.serialize(
          (text) => writeSync(descriptor, text),
          () => {},
        )
        snapshot.delete()
      })
  },
}

const dump = prepare[way]()
process.on('message', () => {
  Promise.resolve()
    .then(dump)
    .then(
      (result) => process.send(result),
      (error) => process.send({ ended: error.message }),
    )
})
fill()
const server = http.createServer((request, response) => response.end('served'))
server.listen(0, '127.0.0.1', () => process.send({ port: server.address().port }))
