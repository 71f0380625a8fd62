'use strict'
// Each version of a setting is held by a closure of the next one. Hardly anything but the leak is allocated: the heap
// collects each time that it has grown, and not else.
const { held, record } = require('./parts.cjs')

const tables = held(40)
let current

function renew() {
  const previous = current
  const isUnchanged = () => previous === undefined || tables.length === 0
  current = { value: record(60), isChanged: () => !isUnchanged() }
}

module.exports = { leaks: true, hours: 60, perHour: () => 100, request: renew }
