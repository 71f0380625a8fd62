// A watched program: node watched.js <monitor options as JSON> <way to pass the time> [its argument].
// Prints a JSON line per event, with descriptor writes: they get out of a main thread that never comes back.
const { writeSync } = require('node:fs')
const cpuMemoryMonitor = require('../../../..')
const waysToPassTheTime = require('./ways-to-pass-the-time')

const say = (message) => writeSync(1, `${JSON.stringify(message)}\n`)
const [options, way, argument] = process.argv.slice(2)
const logger = Object.fromEntries(
  ['info', 'warn', 'error'].map((level) => [level, (line) => say({ type: 'line', level, line })]),
)

const monitor = cpuMemoryMonitor({ logger, ...JSON.parse(options) })
monitor.on('dump', (dump) => say({ type: 'dump', dump }))
monitor.on('skip', (skip) => say({ type: 'skip', skip }))
monitor.on('failure', ({ stage, message }) => say({ type: 'failure', failure: { stage, message } }))
waysToPassTheTime[way]({ monitor, say, argument: Number(argument) })
