'use strict'
// The application that is bundled: prints the lines of the start and how a heap snapshot was taken.
const cpuMemoryMonitor = require('cpu-memory-monitor')

const lines = []
const take = (line) => lines.push(line)
const monitor = cpuMemoryMonitor({
  profileDir: './evidence',
  cpu: {},
  memory: {},
  logger: { info: take, warn: take, error: take },
})
monitor
  .dumpMemory()
  .then(({ way }) => monitor.stop().then(() => console.log(JSON.stringify({ start: lines[0], way }))))
