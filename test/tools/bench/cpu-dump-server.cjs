// The server of the benchmark of CPU dumps. A message names how to profile; answers with what the window of 3.5 s cost, and
// once more when the profile has ended.
const { mkdtempSync, readFileSync, rmSync } = require('node:fs')
const { tmpdir } = require('node:os')
const { join } = require('node:path')
const { Worker } = require('node:worker_threads')
const { setTimeout: sleep } = require('node:timers/promises')
const fastify = require('fastify')()
const cpuMemoryMonitor = require('../../..')

const WINDOW_MS = 3500
const PROFILE_MS = 4000

const profileDir = mkdtempSync(join(tmpdir(), 'cpu-dump-'))
process.on('exit', () => rmSync(profileDir, { recursive: true, force: true }))
process.on('disconnect', () => process.exit())
process.on('SIGTERM', () => process.exit())
const monitor = cpuMemoryMonitor({ cpu: { threshold: 10_000, profileDir }, logger: false, signal: false })

/** Profiles the main thread as any tool does that starts the inspector's profiler from another thread. */
const plainProfiler = new Worker(
  `const { parentPort } = require('node:worker_threads')
  const { Session } = require('node:inspector')
  parentPort.on('message', (durationMs) => {
    const session = new Session()
    session.connectToMainThread()
    session.post('Profiler.enable')
    session.post('Profiler.setSamplingInterval', { interval: 1000 })
    session.post('Profiler.start')
    setTimeout(() => session.post('Profiler.stop', (error, { profile }) => {
      session.disconnect()
      parentPort.postMessage(JSON.stringify(profile).length)
    }), durationMs)
  })`,
  { eval: true },
)
const ways = {
  none: () => sleep(PROFILE_MS),
  plain: () => {
    plainProfiler.postMessage(PROFILE_MS)
    return new Promise((resolve) => plainProfiler.once('message', resolve))
  },
  ours: async () => {
    const { file } = await monitor.dumpCpu(PROFILE_MS)
    return JSON.parse(readFileSync(`${file}.json`, 'utf8')).how.notes.discardedOptimizedCode
  },
}

let requests = 0
fastify.get('/items/:id', (request) => {
  requests++
  const { id } = request.params
  return {
    id,
    page: request.query.page,
    items: Array.from({ length: 10 }, (_, n) => ({ n, name: `item ${n} of ${id}` })),
  }
})

/** ns on the CPU, of the main thread alone: its thread id is the process's. */
const mainCpuUs = () =>
  Number(readFileSync(`/proc/self/task/${process.pid}/schedstat`, 'utf8').split(' ')[0]) / 1000

process.on('message', async (way) => {
  const [cpuUs, served] = [mainCpuUs(), requests]
  const ended = ways[way]()
  await sleep(WINDOW_MS)
  process.send({ cpuUsPerRequest: (mainCpuUs() - cpuUs) / (requests - served) })
  process.send({ discarded: await ended })
})

fastify
  .listen({ port: 0, host: '127.0.0.1' })
  .then(() => process.send({ port: fastify.server.address().port }))
