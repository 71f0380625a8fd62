'use strict'
// node record-case.cjs <program> <seconds>: runs one program with its clock sped up, so that all its hours pass within
// that time, and prints the readings that this library takes of its heap: minutes of the program's time, KB. The heap
// and its collections are V8's own, with no flag set.
const { performance } = require('node:perf_hooks')
const { setTimeout: sleep } = require('node:timers/promises')
const { sentinelReadings } = require('../../../../dist/leak/sentinel.js')

const [file, seconds] = process.argv.slice(2)
const { leaks, leakFromHour = 0, hours, perHour, request } = require(file)
const TICK_MS = 25
/** A process that is starved of CPU must not have its requests in one heap: those that are late by more are left out. */
const MOST_PER_TICK = 5000

const startedAtMs = performance.now()
const nowHours = () => ((performance.now() - startedAtMs) / (Number(seconds) * 1000)) * hours
const readings = []

async function main() {
  const stop = sentinelReadings(nowHours).start(({ atMs: hour, usedBytes }) => {
    readings.push([Math.round(hour * 600) / 10, Math.round(usedBytes / 1024)])
  })
  let due = 0
  for (let last = 0, now = 0; now < hours; last = now, now = nowHours()) {
    due = Math.min(MOST_PER_TICK, due + perHour(now) * (now - last))
    for (; due >= 1; due--) request(now)
    await sleep(TICK_MS)
  }
  stop()
  process.stdout.write(JSON.stringify({ leaks, leakFromHour, hours, node: process.version, readings }))
  process.exit()
}

void main()
