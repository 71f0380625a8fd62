// An application whose tests have put a clock that stands still in the place of all timers and clocks: node fake-clock.js <options>.
// It burns CPU until that is dumped, has a dump of each kind by hand, and stops; nothing of its own keeps it alive.
const cpuMemoryMonitor = require('../../../..')
const timers = require('node:timers')
const promises = require('node:timers/promises')
const real = { setImmediate, hrtime: process.hrtime.bigint }

const say = (message) => console.log(JSON.stringify(message))
const monitor = cpuMemoryMonitor({ logger: false, ...JSON.parse(process.argv[2]) })
monitor.on('failure', ({ stage, message }) => say({ type: 'failure', failure: { stage, message } }))

class NeverFires {
  ref() {
    return this
  }
  unref() {
    return this
  }
}
for (const name of ['setTimeout', 'setInterval', 'setImmediate']) {
  globalThis[name] = timers[name] = () => new NeverFires()
  promises[name] = () => new Promise(() => undefined)
}
for (const name of ['clearTimeout', 'clearInterval']) globalThis[name] = timers[name] = () => undefined
performance.now = () => 0
process.hrtime = Object.assign(() => [0, 0], { bigint: () => 0n })
globalThis.Date = class extends Date {
  static now() {
    return 0
  }
}

const burn = (then) => {
  for (const endsAt = real.hrtime() + 20_000_000n; real.hrtime() < endsAt;) Math.sqrt(2)
  if (!then()) real.setImmediate(burn, then)
}

async function main() {
  let seen
  monitor.once('dump', (dump) => (seen = dump))
  await new Promise((resolve) =>
    burn(() => {
      if (seen) resolve()
      return seen
    }),
  )
  for (const dump of [seen, await monitor.dumpCpu(300), await monitor.dumpMemory()])
    say({ type: 'dump', dump })
  await monitor.stop()
  say({ type: 'stopped' })
}
main()
