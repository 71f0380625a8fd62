// What the programs with workers share: node <program> <monitor options as JSON> <case>. Starts the monitor, and says each line, dump,
// skip and failure as JSON.
const { writeSync } = require('node:fs')
const cpuMemoryMonitor = require('../../../..')

const say = (message) => writeSync(1, `${JSON.stringify(message)}\n`)
const [options, name] = process.argv.slice(2)
const logger = Object.fromEntries(
  ['info', 'warn', 'error'].map((level) => [level, (line) => say({ type: 'line', level, line })]),
)
const monitor = cpuMemoryMonitor({ logger, ...JSON.parse(options) })
monitor.on('failure', ({ stage, message }) => say({ type: 'failure', failure: { stage, message } }))
monitor.on('dump', (dump) => say({ type: 'dump', dump }))
monitor.on('skip', (skip) => say({ type: 'skip', skip }))

/** `name`: of the case. */
module.exports = { monitor, name, say }
