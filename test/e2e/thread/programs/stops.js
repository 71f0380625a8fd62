// Stops its monitor in one phase of a dump and shows that nothing is left: node stops.js <phase>.
const cpuMemoryMonitor = require('../../../..')
const { readdirSync } = require('node:fs')

const phase = process.argv[2]
const say = (message) => console.log(JSON.stringify(message))
const tasks = () => readdirSync('/proc/self/task').length
const handlers = () => process.eventNames().map((name) => [String(name), process.listenerCount(name)])
const partial = () => readdirSync('.').some((name) => name.endsWith('.partial'))
const until = (isSo, then) => (isSo() ? then() : setTimeout(until, 2, isSo, then))

/** The thread pool's threads come with the first file and stay: they are no trace of the monitor. */
const warmedUp = Promise.all(Array.from({ length: 8 }, () => require('node:fs/promises').stat('.')))

const phases = {
  start: (stop) => stop(),
  boot: (stop) => setTimeout(stop, 15),
  ready: (stop) => setTimeout(stop, 400),
  plan: (stop, monitor) => {
    monitor.dumpMemory().then(answer)
    setImmediate(stop)
  },
  profile: (stop, monitor) => {
    monitor.dumpCpu(600_000).then(answer)
    until(partial, () => setTimeout(stop, 100))
  },
  writing: (stop, monitor) => {
    monitor.dumpMemory().then(answer)
    until(partial, stop)
  },
  queue: (stop, monitor) => {
    monitor.dumpCpu(600_000).then(answer)
    until(partial, () => {
      monitor.dumpMemory().then(answer)
      setTimeout(stop, 50)
    })
  },
  /** What crosses with the thread's goodbye is answered too. */
  late: (stop, monitor) => {
    setTimeout(async () => {
      stop()
      for (let turns = 0; turns < 20; turns++) await null
      // The thread says goodbye now, and the loop does not turn to hear it.
      for (const endsAt = Date.now() + 500; Date.now() < endsAt;);
      monitor.dumpCpu(10).then(answer)
    }, 300)
  },
}

const answer = ({ file, skipped }) => say({ type: 'answer', answer: skipped ?? (file ? 'file' : 'nothing') })

warmedUp.then(() => {
  const before = JSON.stringify([tasks(), handlers()])
  const monitor = cpuMemoryMonitor({
    cpu: { threshold: 10_000 },
    memory: { threshold: '10gb' },
    logger: false,
  })
  phases[phase](async () => {
    await Promise.all([monitor.stop(), monitor.stop()])
    setTimeout(() => {
      const after = JSON.stringify([tasks(), handlers()])
      say({
        type: 'stopped',
        isTraceless: before === after,
        before,
        after,
        isPartialLeft: partial(),
      })
    }, 50)
  }, monitor)
})
