// Two rules on the delay of the event loop and one on its utilization, in a program whose loop is late, if its argument says so.
const { obey, say, start } = require('./stage')

const SPIN_MS = 600
const PAUSE_MS = 100

const common = { interval: 500, counter: 3, limiter: [1, 'day'], dump: 'cpu' }

const monitor = start({
  rules: [
    { ...common, name: 'late', metric: 'eventLoopDelay', threshold: 300 },
    { ...common, name: 'late-too', metric: 'eventLoopDelay', threshold: 300 },
    { ...common, name: 'busy', metric: 'eventLoopUtilization', threshold: '70%' },
  ],
})
monitor.on('reading', ({ rule, value }) => say('reading', { rule, value }))
obey({})

const spin = () => {
  const endMs = Date.now() + SPIN_MS
  while (Date.now() < endMs);
  setTimeout(spin, PAUSE_MS)
}
if (process.argv[3] === 'late') setTimeout(spin, PAUSE_MS)
