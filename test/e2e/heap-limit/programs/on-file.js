// Fills its heap when a file of that name appears. Leaves `<name>-watched` when the watch has made plans for some seconds.
'use strict'
const { existsSync, writeFileSync } = require('node:fs')
const { shapes } = require('./shapes')
const { startMonitor } = require('./start-monitor')

const name = process.argv[4]
startMonitor()
setTimeout(() => writeFileSync(`${name}-watched`, ''), 4000)
const timer = setInterval(() => {
  if (!existsSync(name)) return
  clearInterval(timer)
  shapes.burst()
}, 50)
