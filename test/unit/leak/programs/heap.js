'use strict'
// node --gc-global heap.js <engine> <scenario> [sampled]: two hours by the given clock, one step a minute, on the real heap.
const { MINUTE_MS, clock, now, allocate, untilFullGc, chooseReadings, holdingsReader } = require('./parts')
const { startLeakWatch } = require('../../../../dist/leak/watch')

const [engine, scenario, sampled] = process.argv.slice(2)
const STEPS = 120
const kept = []

/** Sessions that end after half an hour, on a morning: each minute more of them, until noon. */
function morning(step) {
  kept.push({ until: step + 30, session: allocate(Math.min(step, 75) / 100) })
  while (kept[0].until < step) kept.shift()
}

/** The same growth, and nothing ends. */
function leakInSessions(step) {
  kept.push(allocate(step / 200))
}

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
  morning,
  leakInSessions,
}

async function main() {
  const { readings } = chooseReadings(engine, now)
  const result = { source: readings.source, readings: 0, looks: 0, leaks: [], dumps: [], failures: [] }
  const readHoldings = sampled ? holdingsReader() : () => undefined
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
    readHoldings() {
      result.looks++
      return readHoldings()
    },
    onLeak(leak) {
      if (scenario === 'leakWithThrowingListener') throw new Error('listener broke')
      result.leaks.push(leak)
    },
    async dump(evidence) {
      result.dumps.push(evidence.details)
      return { file: `snapshot ${result.dumps.length}` }
    },
    isPairWanted: true,
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
