'use strict'
// The cluster part of what this library goes back to, written anew with the faults that it was published with. Memory is read
// by rss(), because the package that read it builds no more. TYPO=fixed: with its misspelt name corrected.
const cluster = require('node:cluster')

function run(bytes, runFunc, cleanFunc) {
  if (cluster.isPrimary) return keepForking()
  runFunc()
  const timer = setInterval(() => {
    if (process.memoryUsage.rss() <= bytes) return
    setTimeout(() => process.exit(1), 5000).unref()
    cleanFunc()
    leave()
    clearInterval(timer)
  }, Number(process.env.CHECK_INTERVAL))
}

function keepForking() {
  const planned = new Set()
  for (let forked = 0; forked < Number(process.env.CPU_COUNT); forked += 1) cluster.fork()
  cluster.on('disconnect', (worker) => {
    planned.add(worker.id)
    cluster.fork()
  })
  cluster.on('exit', (worker) => {
    if (!planned.has(worker.id)) cluster.fork()
  })
}

function leave() {
  try {
    const { state } = process.env.TYPO === 'fixed' ? cluster.worker : cluster.workder
    if (state !== 'disconnected' && state !== 'dead') cluster.worker.disconnect()
  } catch {
    // Here it lost the TypeError that the typo raised: no worker ever disconnected.
  }
}

run(
  Number(process.env.LIMIT_BYTES),
  () => require('./app.cjs'),
  () => {},
)
