'use strict'
// A cache with room for so many entries: it fills within hours, and then each new entry puts out the oldest.
const { held, holdFor, record } = require('./parts.cjs')

const tables = held(40)
const MOST_ENTRIES = 7000
const cache = new Map()
const inFlight = holdFor(0.1)

module.exports = {
  leaks: false,
  hours: 120,
  perHour: () => 1500,
  request(now) {
    inFlight.expire(now)
    inFlight.add(record(3), now)
    // Some of what is asked for is in the cache already, the more the fuller it is.
    const key = Math.floor(Math.random() * 2 * MOST_ENTRIES)
    const value = cache.get(key) ?? record(6 + (tables.length % 1))
    cache.delete(key)
    cache.set(key, value)
    if (cache.size > MOST_ENTRIES) cache.delete(cache.keys().next().value)
  },
}
