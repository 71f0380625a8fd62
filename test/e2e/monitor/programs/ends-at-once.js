// Ends at once: node ends-at-once.js <options or null> <hold in ms>. What is unref'd runs only if something else keeps the loop.
const { writeSync } = require('node:fs')
const cpuMemoryMonitor = require('cpu-memory-monitor')

const [, , options, holdMs] = process.argv
if (options !== 'null') cpuMemoryMonitor(JSON.parse(options))
setImmediate(() => writeSync(1, 'immediate\n')).unref()
setTimeout(() => writeSync(1, 'timer\n'), 1).unref()
setTimeout(() => writeSync(1, 'late timer\n'), 30_000).unref()
process.on('beforeExit', () => writeSync(1, 'beforeExit\n'))
process.on('exit', (code) => writeSync(1, `exit ${code}\n`))
if (Number(holdMs) > 0) setTimeout(() => undefined, Number(holdMs))
