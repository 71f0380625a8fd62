'use strict'
// An interval per connection, which is not cleared when the connection ends. It begins with the release of a new feature.
const { held, holdFor, record } = require('./parts.cjs')

const tables = held(50)
const inFlight = holdFor(0.05)
const RELEASE_HOUR = 20

module.exports = {
  leaks: true,
  leakFromHour: RELEASE_HOUR,
  hours: 60,
  perHour: () => 1000,
  request(now) {
    inFlight.expire(now)
    inFlight.add(record(4), now)
    if (now < RELEASE_HOUR) return
    const connection = { tables, buffered: record(7) }
    setInterval(() => connection.buffered, 3_600_000).unref()
  },
}
