'use strict'
// Sessions end after three hours; the traffic has days and nights.
const { dayTraffic, held, holdFor, record } = require('./parts.cjs')

const tables = held(40)
const sessions = holdFor(3)

module.exports = {
  leaks: false,
  hours: 120,
  perHour: dayTraffic(150, 2000),
  request(now) {
    sessions.expire(now)
    sessions.add([record(4), tables], now)
  },
}
