// Samples on a thread, as the watchdog does, in an application that uses pidusage itself. With `pool-full`, every thread of
// libuv's pool hangs before the second reading. Prints the readings and the descriptors of /proc/<pid>/stat.
const { execFileSync } = require('node:child_process')
const { closeSync, mkdtempSync, open, openSync, readdirSync, readlinkSync, rmSync } = require('node:fs')
const { tmpdir } = require('node:os')
const { join } = require('node:path')
const { Worker, isMainThread, parentPort } = require('node:worker_threads')

const POOL_THREADS = 4

if (isMainThread) main()
else sampleOnThread()

async function main() {
  const pidusage = require('pidusage')
  await pidusage(process.pid)
  const heldByApplication = statDescriptors()
  const worker = new Worker(__filename)
  const answer = () => new Promise((resolve) => worker.once('message', resolve))
  const asked = (what) => {
    worker.postMessage(what)
    return answer()
  }
  const first = await asked('sample')
  const heldByBoth = statDescriptors()
  const free = process.argv[2] === 'pool-full' ? await fillThreadPool() : () => undefined
  await new Promise((resolve) => setTimeout(resolve, 50))
  const second = await asked('sample')
  free()
  await worker.terminate()
  const { cpu } = await pidusage(process.pid)
  const held = { heldByApplication, heldByBoth, heldAtEnd: statDescriptors() }
  console.log(JSON.stringify({ first, second, ...held, cpu, environment: process.env.PIDUSAGE_SILENT ?? '' }))
}

/** Opening a FIFO hangs until its other end is opened too. */
async function fillThreadPool() {
  const directory = mkdtempSync(join(tmpdir(), 'pool-full-'))
  const fifos = Array.from({ length: POOL_THREADS }, (_, index) => join(directory, String(index)))
  execFileSync('mkfifo', fifos)
  for (const fifo of fifos) open(fifo, 'r', (_, descriptor) => closeSync(descriptor))
  return () => {
    for (const fifo of fifos) closeSync(openSync(fifo, 'w'))
    rmSync(directory, { recursive: true })
  }
}

function statDescriptors() {
  const targets = readdirSync('/proc/self/fd').map((descriptor) => {
    try {
      return readlinkSync(`/proc/self/fd/${descriptor}`)
    } catch {
      return ''
    }
  })
  return targets.filter((target) => target === `/proc/${process.pid}/stat`).length
}

function sampleOnThread() {
  const { cpuSampler, memorySampler } = require('../../../../dist/system/usage.js')
  const { ownCpuTime } = require('../../../../dist/system/usage.js')
  const failures = []
  const cpuTime = ownCpuTime((why) => failures.push(why))
  const [cpu, memory] = [cpuSampler(cpuTime), memorySampler()]
  parentPort.on('message', async () => {
    const percent = await cpu.sample()
    const { source } = cpuTime
    parentPort.postMessage({ source, percent: typeof percent, rssBytes: memory.sample(), failures })
  })
}
