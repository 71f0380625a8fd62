'use strict'
// node --gc-global lifecycle.js <engine> <left|stopped>: what a watch leaves behind.
const fs = require('node:fs')
const { clock, now, untilFullGc, turn, allocate, chooseReadings } = require('./parts')
const { startLeakWatch } = require('../../../../dist/leak/watch')

const [engine, end] = process.argv.slice(2)
let readings = 0

function held(source) {
  const memwatch = source === 'builtin' ? undefined : require.main.require(source)
  return {
    resources: process.getActiveResourcesInfo().sort(),
    threads: fs.existsSync('/proc/self/task') ? fs.readdirSync('/proc/self/task').length : 0,
    descriptors: fs.existsSync('/proc/self/fd') ? fs.readdirSync('/proc/self/fd').length : 0,
    listeners: memwatch === undefined ? 0 : memwatch.listenerCount('stats'),
    uncaught: process.listenerCount('uncaughtException') + process.listenerCount('exit'),
  }
}

async function main() {
  const chosen = chooseReadings(engine, now)
  const counted = {
    source: chosen.readings.source,
    start: (onFullGc) =>
      chosen.readings.start((reading) => {
        readings++
        onFullGc(reading)
      }),
  }
  const start = () =>
    startLeakWatch({ source: counted, now, wallClock: () => clock.nowMs, onLeak() {}, onFailure() {} })
  // The first full GC after loading memwatch starts libuv's thread pool, watch or no watch.
  for (let turns = 0; turns < 20; turns++) {
    allocate(1)
    await turn()
  }
  const before = held(counted.source)
  const stops = [start()]
  await untilFullGc(() => readings)
  const during = readings
  if (end === 'left') return console.log(JSON.stringify({ during }))

  for (let round = 0; round < 100; round++) {
    for (const stop of stops) stop()
    stops.push(start())
  }
  for (const stop of stops) stop()
  const whenStopped = readings
  for (let turns = 0; turns < 20; turns++) {
    allocate(1)
    await turn()
  }
  console.log(JSON.stringify({ during, before, after: held(counted.source), late: readings - whenStopped }))
}

void main()
