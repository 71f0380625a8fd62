'use strict'
// node --gc-global heap.js <engine> <scenario>: an hour by the given clock, one step a minute, on the real heap.
const { MINUTE_MS, clock, now, allocate, untilFullGc, chooseReadings } = require('./parts')
const { startLeakWatch } = require('../../../../dist/leak/watch')

const [engine, scenario] = process.argv.slice(2)
const STEPS = 60
const kept = []

const scenarios = {
  leak: () => kept.push(allocate(0.5)),
  leakWithThrowingListener: () => kept.push(allocate(0.5)),
  startUp: (step) => step < 5 && kept.push(allocate(4)),
  cacheThatPlateaus: (step) => {
    if (step > 10) kept.push(allocate(1))
    if (kept.length > 20) kept.shift()
  },
  sawtooth: (step) => {
    kept.push(allocate(1.5))
    if (step % 12 === 0) kept.length = 0
  },
  bursts: (step) => {
    kept.length = 0
    if (step % 9 === 0) kept.push(allocate(12))
  },
}

async function main() {
  const { readings } = chooseReadings(engine, now)
  const result = { source: readings.source, readings: 0, leaks: [], failures: [] }
  const counted = {
    source: readings.source,
    start: (onFullGc) =>
      readings.start((reading) => {
        result.readings++
        onFullGc(reading)
      }),
  }
  const stop = startLeakWatch({
    source: counted,
    now,
    wallClock: () => 1_700_000_000_000 + clock.nowMs,
    onLeak(report, evidence) {
      if (scenario === 'leakWithThrowingListener') throw new Error('listener broke')
      result.leaks.push({ report, evidence })
    },
    onFailure: (error) => result.failures.push(error.message),
  })
  for (let step = 0; step < STEPS; step++) {
    scenarios[scenario](step)
    await untilFullGc(() => result.readings)
    clock.nowMs += MINUTE_MS
  }
  stop()
  console.log(JSON.stringify({ ...result, steps: STEPS }))
}

void main()
