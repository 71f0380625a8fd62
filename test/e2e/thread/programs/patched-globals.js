// An application that replaces half of its environment after the start, as fake clocks and polyfills do.
const cpuMemoryMonitor = require('../../../..')
const timers = require('node:timers')
const real = { setTimeout, stringify: JSON.stringify, now: Date.now }

const monitor = cpuMemoryMonitor({
  cpu: { threshold: 10_000, blocked: 1000, duration: 300 },
  memory: { threshold: '10gb' },
  logger: false,
})
monitor.on('dump', ({ rule, kind }) => console.log(real.stringify({ type: 'dump', dump: { rule, kind } })))
monitor.on('failure', ({ message }) => console.log(real.stringify({ type: 'failure', failure: { message } })))

const never = () => ({ unref() {}, ref() {} })
globalThis.setTimeout = timers.setTimeout = never
globalThis.setInterval = timers.setInterval = never
globalThis.clearTimeout = timers.clearTimeout = () => {}
process.hrtime = () => [0, 0]
process.hrtime.bigint = () => 0n
performance.now = () => 0
globalThis.Date = class extends Date {
  static now() {
    return 0
  }
}
globalThis.Promise = class extends Promise {}
JSON.stringify = () => 'patched'
JSON.parse = () => 'patched'

function guilty() {
  for (const endsAt = real.now() + 3500; real.now() < endsAt;) Math.sqrt(2)
}

real.setTimeout(guilty, 2500)
process.stdin.once('data', async () => {
  const { kind, message } = await monitor.dumpMemory()
  console.log(real.stringify({ type: 'answer', kind, message }))
  await monitor.stop()
  console.log(real.stringify({ type: 'stopped' }))
  process.stdin.destroy()
})
