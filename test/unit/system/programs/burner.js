// Burns a share of each slice of time, on this thread and on as many others as asked, while two samplers watch.
// Prints their readings and those of Node's own counter for the same span, in percent of one core.
const { Worker, isMainThread, workerData } = require('node:worker_threads')

const [duty, threads] = isMainThread ? process.argv.slice(2).map(Number) : [workerData, 1]
const SLICE_MS = 20

function burnSlice() {
  const end = performance.now() + SLICE_MS * duty
  while (performance.now() < end);
}

if (isMainThread) {
  watch()
} else {
  setInterval(burnSlice, SLICE_MS)
  require('node:worker_threads').parentPort.postMessage('burning')
}

async function watch() {
  const { loadPidusage } = require('../../../../dist/system/usage.js')
  const { cpuSampler } = require('../../../../dist/system/usage.js')
  const { ownCpuTime } = require('../../../../dist/system/usage.js')
  const workers = []
  for (let started = 1; started < threads; started++) {
    const worker = new Worker(__filename, { workerData: duty })
    await new Promise((burning) => worker.once('message', burning))
    workers.push(worker)
  }
  const failures = []
  const cpuTime = ownCpuTime((why) => failures.push(why), loadPidusage())
  const samplers = [cpuSampler(cpuTime), cpuSampler(cpuTime)]
  const first = await Promise.all(samplers.map((sampler) => sampler.sample()))
  const cpuAtStart = process.cpuUsage()
  const startMs = performance.now()
  const burning = setInterval(burnSlice, SLICE_MS)

  // The second sampler is asked more often than the first: neither may move the other's baseline.
  const often = []
  for (let round = 0; round < 4; round++) {
    await new Promise((resolve) => setTimeout(resolve, 200))
    often.push(await samplers[1].sample())
  }
  const sampled = await samplers[0].sample()
  const { user, system } = process.cpuUsage(cpuAtStart)
  const counted = ((user + system) / 1000 / (performance.now() - startMs)) * 100
  clearInterval(burning)
  await Promise.all(workers.map((worker) => worker.terminate()))
  const { source } = cpuTime
  console.log(JSON.stringify({ source, failures, first: first.map(String), sampled, often, counted }))
}
