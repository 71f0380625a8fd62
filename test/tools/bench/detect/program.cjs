// One case of the benchmark `detect`: node program.cjs <cpu or memory> <what the main thread does> <ms before the threshold is passed>.
// Prints the instant at which it passed the threshold, then goes on until it is killed.
'use strict'
const { pbkdf2Sync } = require('node:crypto')
const { writeSync } = require('node:fs')
const cpuMemoryMonitor = require('../../../..')

const [kind, work, delayMs] = process.argv.slice(2)
const THRESHOLD_BYTES = 250 * 2 ** 20
const PIECE_BYTES = 2 ** 20
/** Some seconds of one native call, whatever the machine. */
const NATIVE_MS = 3000
const TRIAL_ROUNDS = 50_000

const options = {
  cpu: { cpu: { threshold: 60, duration: 1000, blocked: false } },
  memory: { memory: { threshold: THRESHOLD_BYTES } },
}
const hash = (rounds) => pbkdf2Sync('secret', 'salt', rounds, 64, 'sha512')

const works = {
  /** For CPU a loaded server of short requests, for memory an idle one. */
  free() {
    if (kind === 'memory') return
    const endsAtMs = performance.now() + 2
    while (performance.now() < endsAtMs) Math.sqrt(2)
    setImmediate(works.free)
  },
  loop() {
    for (let x = 0; ;) x = Math.sqrt(x + 1)
  },
  regex: () => /^(a+)+$/.test(`${'a'.repeat(45)}!`),
  'native call'() {
    hash(nativeRounds)
    setImmediate(works['native call'])
  },
}

const startedAtMs = performance.now()
hash(TRIAL_ROUNDS)
const nativeRounds = Math.ceil((TRIAL_ROUNDS * NATIVE_MS) / (performance.now() - startedAtMs))
// For a process that is idle once its memory is taken.
setInterval(() => {}, 1000)
cpuMemoryMonitor({ ...options[kind], profileDir: process.cwd(), signal: false, logger: false })
setTimeout(() => {
  // Outside of the heap, so that what is measured is not the size of a snapshot.
  const hoard = []
  while (kind === 'memory' && process.memoryUsage.rss() <= THRESHOLD_BYTES)
    hoard.push(Buffer.alloc(PIECE_BYTES, 1))
  writeSync(1, String(Date.now()))
  globalThis.hoard = hoard
  works[work]()
}, Number(delayMs))
