// Starts the monitor with the options of the command line, and prints what it emits; or leaves it out, for a twin.
'use strict'
const { writeFileSync } = require('node:fs')

// Into a memory cgroup, if the test has made one.
if (process.env.CMM_PROCS) writeFileSync(process.env.CMM_PROCS, String(process.pid))

exports.startMonitor = () => {
  const options = process.argv[3]
  if (options === 'none') return undefined
  const monitor = require('../../../../dist')(JSON.parse(options))
  for (const name of ['dump', 'skip', 'failure']) {
    monitor.on(name, (event) => console.log(JSON.stringify({ name, ...event })))
  }
  return monitor
}
