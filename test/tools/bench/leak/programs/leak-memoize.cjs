'use strict'
// A function remembers its result for every argument that it was ever called with; arguments hold a time of day.
const { held, record } = require('./parts.cjs')

const tables = held(40)
const results = {}

function price(article, at) {
  const key = `${article} ${at}`
  results[key] ??= { article, rows: [record(6)], of: tables.length }
  return results[key]
}

module.exports = {
  leaks: true,
  hours: 48,
  perHour: () => 2000,
  request(now) {
    price(Math.floor(Math.random() * 50), now.toFixed(2))
  },
}
