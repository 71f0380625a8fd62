'use strict'
const cluster = require('node:cluster')
const { whenOver } = require('./memory-check.cjs')

if (cluster.isPrimary) {
  const timeout = Number(process.env.RECLUSTER_TIMEOUT_S) || undefined
  require('recluster')(__filename, { workers: Number(process.env.CPU_COUNT), timeout }).run()
} else {
  require('./app.cjs')
  // Its own way to be replaced: the message makes it fork, then disconnect the worker that sent it.
  whenOver(() => process.send({ cmd: 'disconnect' }))
}
