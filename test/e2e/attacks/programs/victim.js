// A service with a secret in its heap: node victim.js <options> [heap MB]. It starts, dumps and stops as it is ordered.
const cpuMemoryMonitor = require('cpu-memory-monitor')

const say = (name, payload) => process.send({ name, ...payload })
const line = (level) => (text) => say('line', { level, text })
const logger = { info: line('info'), warn: line('warn'), error: line('error') }
const options = JSON.parse(process.argv[2])
globalThis.secret = ['a', 'secret', 'of', 'the', 'service'].join('-')
globalThis.ballast = Array.from({ length: Number(process.argv[3] ?? 0) * 10_000 }, (_, index) => ({ index }))

function start(more) {
  const monitor = cpuMemoryMonitor({ logger, ...options, ...more })
  for (const name of ['dump', 'skip', 'failure']) monitor.on(name, (payload) => say(name, { payload }))
  return monitor
}

const monitor = process.argv[5] === 'later' ? undefined : start({})
const orders = {
  dumpCpu: (durationMs) => monitor.dumpCpu(durationMs),
  dumpMemory: () => monitor.dumpMemory(),
  stop: () => monitor.stop(),
  /** A monitor that watches nothing, for the directory that it makes. */
  startIn: (profileDir) => start({ profileDir }).stop(),
  memory: () => process.memoryUsage(),
  ...(process.argv[4] && require(process.argv[4])(monitor)),
}
process.on('message', async ({ id, order, input }) => {
  if (order === 'end') process.exit()
  say('answer', { id, output: await orders[order](input) })
})
process.on('disconnect', () => process.exit())
say('up', {})
