'use strict'
const cluster = require('node:cluster')
const { whenOver } = require('./memory-check.cjs')

if (cluster.isPrimary) {
  require('cfork').fork({ exec: __filename, count: Number(process.env.CPU_COUNT) })
} else {
  require('./app.cjs')
  whenOver(() => cluster.worker.disconnect())
}
