'use strict'
// Joins a cgroup and fills a heap; on the first message it starts the monitor, whose first reading is above the threshold.
// Sends what comes of it, and lives on.
const { writeFileSync } = require('node:fs')
const cpuMemoryMonitor = require('../../../../dist/index.js')

const { CGROUP_PROCS, HEAP_MB, DUMP_DIRECTORY } = process.env
writeFileSync(CGROUP_PROCS, String(process.pid))

class LeakedThing {
  constructor(number) {
    this.number = number
    this.tags = [number, { number }]
  }
}

const things = []
while (process.memoryUsage().heapUsed < Number(HEAP_MB) * 1e6) {
  for (let more = 0; more < 1000; more++) things.push(new LeakedThing(things.length))
}

process.once('message', () => {
  const memory = { threshold: 0, interval: 200, limiter: [1, 'hour'] }
  const monitor = cpuMemoryMonitor({ profileDir: DUMP_DIRECTORY, memory, logger: false })
  for (const name of ['dump', 'skip', 'failure']) {
    monitor.on(name, ({ way, reason, message }) => process.send({ name, way, reason, message }))
  }
})
// The monitor keeps no process alive.
setInterval(() => {}, 1000)
process.send({ name: 'full', things: things.length })
