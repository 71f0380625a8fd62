// Dies amid a transaction in each of two databases, one with a journal and one with a write-ahead log. Their caches are so small
// that a part of the transaction is on the disk already.
'use strict'
const { DatabaseSync } = require('node:sqlite')
const { shapes } = require('./shapes')
const { startMonitor } = require('./start-monitor')

startMonitor()
const open = ['delete', 'wal'].map((mode) => {
  const database = new DatabaseSync(`${mode}.db`)
  database.exec(`PRAGMA journal_mode = ${mode}; PRAGMA synchronous = OFF; PRAGMA cache_size = 10`)
  database.exec('CREATE TABLE rows (text)')
  const insert = database.prepare('INSERT INTO rows VALUES (?)')
  for (let row = 0; row < 64; row++) insert.run('committed '.repeat(100))
  database.exec('BEGIN')
  database.prepare('UPDATE rows SET text = ?').run('uncommitted '.repeat(100))
  return database
})
setTimeout(() => shapes.burst(open), 1000)
