// How many workers a cluster forks in its first second: node crowded-cluster.js. The forks are counted, none is made.
const cluster = require('node:cluster')

let forks = 0
let lines = 0
cluster.fork = () => {
  forks++
  throw new Error('no process can be made')
}
const count = () => void lines++
const logger = { info: count, warn: count, error: count }
const { run } = require('cpu-memory-monitor/cluster')
run('50mb', () => undefined, undefined, { logger })
setTimeout(() => {
  console.log(JSON.stringify({ forks, lines }))
  process.exit()
}, 1000)
