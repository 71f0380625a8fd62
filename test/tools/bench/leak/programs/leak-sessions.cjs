'use strict'
// Sessions go into a map and nothing takes them out; the traffic has days and nights.
const { dayTraffic, held, holdFor, record } = require('./parts.cjs')

const tables = held(40)
const sessions = new Map()
const inFlight = holdFor(0.2)

module.exports = {
  leaks: true,
  hours: 96,
  perHour: dayTraffic(200, 1400),
  request(now) {
    inFlight.expire(now)
    inFlight.add(record(5), now)
    if (Math.random() < 0.8) sessions.set(`session ${sessions.size} of ${tables.length}`, record(5))
  },
}
