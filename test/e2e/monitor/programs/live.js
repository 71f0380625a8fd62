// Changes a running monitor and looks at it: node live.js <options as JSON>. Prints what it saw as JSON.
const { subscribe, unsubscribe } = require('node:diagnostics_channel')
const { once } = require('node:events')
const cpuMemoryMonitor = require('../../../../dist/index.js')

const options = JSON.parse(process.argv[2])
const seen = { hooked: [], published: [] }
// Neither the monitor nor its events keep a process alive.
const hold = setInterval(() => undefined, 1000)
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

async function main() {
  const monitor = cpuMemoryMonitor({
    ...options,
    onDump: async ({ file }) => {
      await pause(100)
      seen.hooked.push(file)
    },
  })
  const publish = (dump, name) => seen.published.push([name, dump.file])
  subscribe('cpu-memory-monitor:dump', publish)
  seen.reading = (await once(monitor, 'reading'))[0]
  seen.before = monitor.stats()
  seen.refused = []
  for (const wrong of [
    { memory: { threshold: -1 } },
    { memory: { counter: 3, interval: 5 } },
    { cpu: {} },
    { keep: 1 },
  ]) {
    try {
      monitor.update(wrong)
    } catch (error) {
      seen.refused.push(`${error.name}: ${error.message}`)
    }
  }
  seen.unchanged = monitor.stats()
  monitor.update({ memory: { threshold: 1, counter: 1 } })
  seen.dump = (await once(monitor, 'dump'))[0].file
  await once(monitor, 'reading')
  monitor.update({ memory: { limiter: [4, 'day'] } })
  await once(monitor, 'reading')
  await once(monitor, 'reading')
  seen.after = monitor.stats()
  await monitor.stop()
  unsubscribe('cpu-memory-monitor:dump', publish)
  clearInterval(hold)
  console.log(JSON.stringify(seen))
}

main()
