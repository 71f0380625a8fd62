'use strict'
// Every night all rows are read, for an hour, and dropped at its end; in the daytime requests come and go.
const { held, holdFor, record } = require('./parts.cjs')

const tables = held(50)
const inFlight = holdFor(0.1)
let rows = []

module.exports = {
  leaks: false,
  hours: 120,
  perHour: () => 1200,
  request(now) {
    inFlight.expire(now)
    inFlight.add([record(4), tables], now)
    if (now % 24 > 8 && now % 24 < 9) rows.push(record(40))
    else rows = []
  },
}
