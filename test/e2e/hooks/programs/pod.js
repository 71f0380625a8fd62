// A process of a fleet whose CPU threshold every reading exceeds. Says what its monitor does, a line of JSON per event.
//
//   node pod.js '{"fleet": {…}, "cpu": {…}, …}' [blocks | ends]
//
// blocks: its main thread never turns again once it is watched. ends: it has nothing more to do once a dump is asked for.
const { writeSync } = require('node:fs')
const cpuMemoryMonitor = require('cpu-memory-monitor')
const { redisBudget } = require('cpu-memory-monitor/redis')

const [given, way] = process.argv.slice(2)
const { fleet, cpu, ...options } = JSON.parse(given)
const say = (name, payload = {}) => writeSync(1, `${JSON.stringify({ name, ...payload })}\n`)

const work = setInterval(() => {
  const endMs = performance.now() + 2
  while (performance.now() < endMs);
}, 50)

const line = (level) => (text) => {
  say('line', { level, text })
  if (!text.startsWith('watching')) return
  if (way === 'ends') setTimeout(() => clearInterval(work), 1500)
  if (way === 'blocks') for (;;);
}
const monitor = cpuMemoryMonitor({
  cpu: { threshold: 0, interval: 200, duration: 200, limiter: [100, 'hour'], ...cpu },
  logger: { info: line('info'), warn: line('warn'), error: line('error') },
  signal: false,
  ...options,
  ...(fleet && { fleet: redisBudget(fleet) }),
})
for (const name of ['dump', 'skip', 'failure']) monitor.on(name, (payload) => say(name, payload))
process.on('exit', () => say('exit'))
