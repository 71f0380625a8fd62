'use strict'
// Each request adds a listener to an emitter of the process, and with it keeps itself.
const { EventEmitter } = require('node:events')
const { held, holdFor, record } = require('./parts.cjs')

const bus = new EventEmitter().setMaxListeners(0)
const tables = held(40)
const inFlight = holdFor(0.1)

module.exports = {
  leaks: true,
  hours: 48,
  perHour: () => 1200,
  request(now) {
    inFlight.expire(now)
    inFlight.add(record(4), now)
    const body = record(5)
    bus.on('configuration', () => body.field0_0 === tables.length)
  },
}
