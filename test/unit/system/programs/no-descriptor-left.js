// Uses up every descriptor that it may have, samples, gives them back, samples again. Run it with a low `ulimit -n`.
const { closeSync, openSync } = require('node:fs')
const { loadPidusage } = require('../../../../dist/system/usage.js')
const { cpuSampler, memorySampler } = require('../../../../dist/system/usage.js')
const { ownCpuTime, processUsage } = require('../../../../dist/system/usage.js')

const pause = () => new Promise((resolve) => setTimeout(resolve, 20))

function takeAll() {
  const taken = []
  for (;;) {
    try {
      taken.push(openSync('/dev/null', 'r'))
    } catch {
      return taken
    }
  }
}

async function main() {
  const failures = []
  const cpu = cpuSampler(ownCpuTime((why) => failures.push(why), loadPidusage()))
  const memory = memorySampler()
  const memoryReading = () => {
    try {
      return typeof memory.sample()
    } catch (error) {
      return error.code
    }
  }
  const pids = [process.pid, process.ppid]
  const readAll = async () => {
    await pause()
    return {
      cpu: typeof (await cpu.sample()),
      memory: memoryReading(),
      others: await processUsage(pids).then(
        (usage) => usage.size,
        (error) => error.message,
      ),
    }
  }
  await processUsage(pids)
  await cpu.sample()
  const before = await readAll()
  const taken = takeAll()
  const starved = await readAll()
  taken.forEach((descriptor) => closeSync(descriptor))
  console.log(JSON.stringify({ before, starved, after: await readAll(), failures }))
}
main()
