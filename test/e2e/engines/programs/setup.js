'use strict'
// What the programs of this directory share: the capturers of one engine, and what a process must look like before and after.
const { readFileSync, readdirSync } = require('node:fs')

const GIB = 1024 ** 3

/**
 * Builds the capturers as the monitor does on the main thread. `room` takes the place of the machine's numbers; `onStart` is
 * told when a CPU profile is about to start. Without `forks` there is no helper, as on other systems.
 */
exports.build = function build({ engine, room = {}, sampling = true, forks = false, onStart = () => {} }) {
  const { resolveEngines } = require('../../../../dist/capture/engines.js')
  const { createOrders } = require('../../../../dist/capture/main-thread/carry-out.js')
  const { createDirectMainThread } = require('../../../../dist/capture/main-thread/direct.js')
  const { createCpuCapturer } = require('../../../../dist/capture/cpu/capturer.js')
  const { createHeapCapturer } = require('../../../../dist/capture/heap/ladder.js')
  const said = []
  const observer = {
    childAtWork: () => {},
    orderLate: (order) => said.push(`late: ${order}`),
    samplingWasStopped: () => said.push('sampling was stopped'),
    samplingFailed: (error) => said.push(`sampling failed: ${error.message}`),
  }
  const probe = {
    memory: () => ({
      availableBytes: room.availableBytes ?? 16 * GIB,
      limitBytes: room.limitBytes ?? 32 * GIB,
    }),
    isKilledAsOne: () => false,
    disk: () => Promise.resolve({ freeBytes: room.diskBytes ?? 100 * GIB, isMemory: false }),
  }
  const engines = resolveEngines(engine, ['cpu', 'memory'])
  const direct = createDirectMainThread(createOrders(engines))
  const mainThread = {
    connect: () => (onStart(), direct.connect()),
    turn: direct.turn,
    order: (name, input) => (name === 'startPackageProfile' && onStart(), direct.order(name, input)),
  }
  const parts = { mainThread, probe, observer }
  const fork = forks ? {} : { fork: { unavailable: 'left out by the test' } }
  return {
    said,
    mainThread,
    cpu: () => createCpuCapturer({ ...parts, engine: engines.cpu }),
    heap: () => createHeapCapturer({ ...parts, engine: engines.memory, sampling, ...fork }),
  }
}

let dumps = 0
exports.job = function job(directory, kind, durationMs = 0) {
  dumps += 1
  const startedAt = new Date()
  return {
    directory,
    baseName: `${kind}-${process.pid}-${startedAt.getTime() + dumps}`,
    durationMs,
    sidecar: {
      why: { kind, rule: 'manual', details: {}, readings: [] },
      where: {
        node: process.version,
        v8: process.versions.v8,
        pid: process.pid,
        host: 'test',
        directory,
        startedAt: startedAt.toISOString(),
        limits: {},
      },
    },
  }
}

/** What our work could leave behind in a process. */
exports.traces = function traces() {
  return {
    listeners: process.eventNames().map((name) => `${String(name)}: ${process.listenerCount(name)}`),
    caughtSignals: /SigCgt:\s*(\w+)/.exec(readFileSync('/proc/self/status', 'utf8'))[1],
    descriptors: readdirSync('/proc/self/fd').length,
    heapdumpOptions: process.env.NODE_HEAPDUMP_OPTIONS,
    samplerRuns: exports.samplerRuns(),
  }
}

exports.samplerRuns = function samplerRuns() {
  const session = exports.openSession()
  let runs = false
  session.post('HeapProfiler.getSamplingProfile', (error) => (runs = error === null))
  session.disconnect()
  return runs
}

exports.openSession = function openSession() {
  const { Session } = require('node:inspector')
  const session = new Session()
  session.connect()
  return session
}

/** The report is the last line; a program that throws says so there, and exits by itself like all others. */
exports.report = function report(work) {
  work().then(
    (result) => console.log(JSON.stringify(result)),
    (error) => console.log(JSON.stringify({ thrown: error.stack })),
  )
}

/** An Error keeps its message on its way through JSON. */
exports.outcome = async function outcome(promise) {
  try {
    return await promise
  } catch (error) {
    return { rejected: error.message, code: error.code }
  }
}
