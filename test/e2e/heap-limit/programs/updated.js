// Takes the whole budget of memory dumps away while the monitor runs, then fills its heap.
'use strict'
const { shapes } = require('./shapes')
const { startMonitor } = require('./start-monitor')

const monitor = startMonitor()
setTimeout(() => monitor.update({ memory: { limiter: [0, 'hour'] } }), 500)
// Twenty intervals, for a machine that is busy.
setTimeout(shapes.burst, 2500)
