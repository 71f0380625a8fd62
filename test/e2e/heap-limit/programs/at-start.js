// The heap is filled as the program starts: the event loop has not turned yet.
'use strict'
const { shapes } = require('./shapes')
const { startMonitor } = require('./start-monitor')

startMonitor()
shapes.burst()
