// Changes a running monitor and looks at it: node live.js <options as JSON>. Prints what it saw as JSON.
const { subscribe, unsubscribe } = require('node:diagnostics_channel')
const { once } = require('node:events')
const cpuMemoryMonitor = require('../../../../dist/index.js')

const options = JSON.parse(process.argv[2])
const seen = { hooked: [], published: [] }
// Neither the monitor nor its events keep a process alive.
const hold = setInterval(() => undefined, 1000)
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

async function readingOf(monitor, rule) {
  for (;;) {
    const [reading] = await once(monitor, 'reading')
    if (reading.rule === rule) return reading
  }
}

async function breachOf(monitor, rule) {
  while (!(monitor.stats().rules[rule].breaches > 0)) await once(monitor, 'reading')
}

async function main() {
  const monitor = cpuMemoryMonitor({
    ...options,
    rules: [{ name: 'queue', metric: () => 5, threshold: 100, dump: 'cpu', interval: 50 }],
    onDump: async ({ file }) => {
      await pause(100)
      seen.hooked.push(file)
    },
  })
  const publish = (dump, name) => seen.published.push([name, dump.file])
  subscribe('cpu-memory-monitor:dump', publish)
  seen.reading = await readingOf(monitor, 'memory')
  seen.before = monitor.stats()
  seen.refused = []
  for (const wrong of [
    { memory: { threshold: -1 } },
    { memory: { counter: 3, interval: 5 } },
    { cpu: {} },
    { keep: 1 },
    { rules: [{ name: 'no-queue', threshold: 1 }] },
  ]) {
    try {
      monitor.update(wrong)
    } catch (error) {
      seen.refused.push(`${error.name}: ${error.message}`)
    }
  }
  seen.unchanged = monitor.stats()
  monitor.update({ rules: [{ name: 'queue', threshold: 1, counter: 1000 }] })
  await breachOf(monitor, 'queue')
  seen.queue = monitor.stats().rules.queue
  monitor.update({ rules: [{ name: 'queue', threshold: 100 }] })
  monitor.update({ memory: { threshold: 1, counter: 1 } })
  seen.dump = (await once(monitor, 'dump'))[0].file
  await readingOf(monitor, 'memory')
  monitor.update({ memory: { limiter: [4, 'day'] } })
  await readingOf(monitor, 'memory')
  await readingOf(monitor, 'memory')
  seen.after = monitor.stats()
  await monitor.stop()
  unsubscribe('cpu-memory-monitor:dump', publish)
  clearInterval(hold)
  console.log(JSON.stringify(seen))
}

main()
