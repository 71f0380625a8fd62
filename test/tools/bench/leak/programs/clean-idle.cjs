'use strict'
// A service that hardly anybody calls: it collects seldom, and each time something else is in flight.
const { held, holdFor, record } = require('./parts.cjs')

const tables = held(60)
const inFlight = holdFor(0.5)

module.exports = {
  leaks: false,
  hours: 168,
  perHour: () => 100,
  request(now) {
    inFlight.expire(now)
    inFlight.add(record(16 + (Math.random() < 0.02 ? 2000 : 0)), now)
    return tables
  },
}
