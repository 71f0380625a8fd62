'use strict'
// What the recorded programs have in common: a level of live objects, and requests that live for a while.

let id = 0

/** An object of about `kilobytes` on the V8 heap, as parsed from a body or read from a table. */
function record(kilobytes = 1) {
  const fields = {}
  for (let field = 0; field < kilobytes * 8; field++)
    fields[`field${field % 16}_${field >> 4}`] = [id, field, `${id++}`]
  return fields
}

/** About `megabytes` of records that the program holds for as long as it runs: code, configuration, tables. */
function held(megabytes) {
  const records = []
  for (let kilobytes = 0; kilobytes < megabytes * 1024; kilobytes += 4) records.push(record(4))
  return records
}

/** Holds things for `hours` of the program's time: requests in flight, sessions. Much of it dies in the old generation. */
function holdFor(hours) {
  const waiting = []
  return {
    add(thing, now) {
      waiting.push({ thing, until: now + hours })
    },
    expire(now) {
      while (waiting.length > 0 && waiting[0].until < now) waiting.shift()
    },
  }
}

/** Traffic between `low` and `high` once a day, lowest at the start. */
function dayTraffic(low, high) {
  return (hour) => low + ((high - low) * (1 - Math.cos((2 * Math.PI * hour) / 24))) / 2
}

module.exports = { record, held, holdFor, dayTraffic }
