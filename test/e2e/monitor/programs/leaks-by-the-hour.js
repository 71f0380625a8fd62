// Holds sessions for fifteen minutes, or for good when the order `leak` is given; ten minutes of its life pass within a second. Only the
// clock of the main thread is sped up, where the leak watch runs: dumps take as long as ever. Needs --expose-gc.
const SPEED = 600
const HOUR_MS = 3_600_000
const readNs = process.hrtime.bigint.bind(process.hrtime)
const bornNs = readNs()
process.hrtime.bigint = () => bornNs + (readNs() - bornNs) * BigInt(SPEED)
const nowMs = () => (Number(readNs() - bornNs) / 1e6) * SPEED

const inspector = require('node:inspector')
const { obey, start } = require('./stage')

let collections = 0
class Session {
  constructor(rows, untilMs) {
    this.rows = rows
    this.untilMs = untilMs
  }
}

const held = []
/** Few, large objects: a full collection of many small ones would take longer than the pause between two. */
function openSession(leaks) {
  held.push(new Session(new Array(50_000).fill(0.5), leaks ? Infinity : doneMs + HOUR_MS / 4))
}

let leaks = false
let doneMs = 0
start()
function pass() {
  for (const toMs = nowMs(); doneMs < toMs; doneMs += HOUR_MS / 120) openSession(leaks)
  while (held[0]?.untilMs < doneMs) held.shift()
  global.gc()
  collections++
  setTimeout(pass, 50)
}
pass()

obey({
  // As another user of V8's one sampling profiler would.
  stopSampler() {
    const session = new inspector.Session()
    session.connect()
    session.post('HeapProfiler.stopSampling')
    session.disconnect()
  },
  leak: () => void (leaks = true),
  passed: () => ({ hours: nowMs() / HOUR_MS, collections }),
})
