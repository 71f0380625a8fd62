'use strict'
const { resolveEngines } = require('../../../../dist/capture/engines')
const { holdingsOf } = require('../../../../dist/capture/heap/allocation-sites')
const { createHeapSampler } = require('../../../../dist/capture/heap/sampler')
const { openLocalSession } = require('../../../../dist/capture/main-thread/local-session')
const leak = require('../../../../dist/leak/choose-readings')

const MINUTE_MS = 60_000
const clock = { nowMs: 0 }
const now = () => clock.nowMs

/** About `megabytes` of small objects on the V8 heap. */
function allocate(megabytes) {
  const blocks = []
  for (let i = 0; i < megabytes * 128; i++) blocks.push(new Array(1000).fill(i))
  return blocks
}

const turn = () => new Promise((resolve) => setImmediate(resolve))

/** Makes garbage until a full GC has been reported, at most 50 turns; under --gc-global each GC is a full one. */
async function untilFullGc(readingCount) {
  const before = readingCount()
  for (let turns = 0; turns < 50 && readingCount() === before; turns++) {
    allocate(1)
    await turn()
  }
}

/** The readings that a monitor with this `engine` option would take. */
const chooseReadings = (engine, now) => leak.chooseReadings(resolveEngines(engine, ['leak']).leak, now)

/** Samples finely enough for a heap of some MB. */
function holdingsReader() {
  const sampler = createHeapSampler(openLocalSession)
  sampler.start(16 * 1024)
  return () => {
    const holdings = holdingsOf(sampler.profile())
    return { run: sampler.run(), byPath: new Map(holdings.map((holding) => [holding.path, holding])) }
  }
}

module.exports = { MINUTE_MS, clock, now, allocate, turn, untilFullGc, chooseReadings, holdingsReader }
