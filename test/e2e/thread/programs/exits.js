// Exits in the middle of something: node exits.js <phase> [ms] [more options]. Exit code 3 is the application's own.
const cpuMemoryMonitor = require('../../../..')
const { readdirSync } = require('node:fs')

const [phase, ms = '0', more = '{}'] = process.argv.slice(2)
const exitSoon = () => setTimeout(exitNow, Number(ms))
let exitsAtMs

function exitNow() {
  exitsAtMs = performance.now()
  process.exit(3)
}

/** The name bears `.partial` from before the profiler starts until the file is whole. */
function isProfiling() {
  return readdirSync('.').some((name) => name.endsWith('.cpuprofile.partial'))
}

function whenProfiling(then) {
  if (isProfiling()) then()
  else setTimeout(whenProfiling, 5, then)
}

const phases = {
  /** While the thread loads and starts the sampling profiler. */
  start: exitSoon,
  /** While a profile is recorded. */
  profile: () => {
    monitor.dumpCpu(600_000)
    whenProfiling(exitSoon)
  },
  /** The event loop empties by itself during a profile that nobody awaits. */
  empties: () => {
    process.exitCode = 3
    const burn = () => {
      for (const endsAt = Date.now() + 20; Date.now() < endsAt;) Math.sqrt(2)
      // A while longer: a file for the profile is there before the profiler runs.
      setTimeout(isProfiling() ? () => undefined : burn, 20)
    }
    setTimeout(burn, 300)
  },
  /** An uncaught error ends the process: Node's own exit code is 1. */
  throws: () => {
    monitor.dumpCpu(600_000)
    whenProfiling(() =>
      setTimeout(() => {
        exitsAtMs = performance.now()
        throw new Error('the application failed')
      }, Number(ms)),
    )
  },
  /** `stop()` has been called and not awaited. */
  stop: () => {
    monitor.dumpCpu(600_000)
    whenProfiling(() =>
      setTimeout(() => {
        monitor.stop()
        if (ms === '0') exitNow()
        else exitSoon()
      }, 30),
    )
  },
}

const monitor = cpuMemoryMonitor({
  cpu: { threshold: phase === 'empties' ? 5 : 10_000, interval: 100, duration: 600_000, blocked: false },
  memory: { threshold: '1gb' },
  logger: false,
  ...JSON.parse(more),
})
monitor.on('dump', ({ file, way }) => console.log(JSON.stringify({ type: 'dump', file, way })))
process.once('exit', () => {
  if (exitsAtMs !== undefined) {
    console.log(JSON.stringify({ type: 'exit', heldMs: Math.round(performance.now() - exitsAtMs) }))
  }
})
phases[phase]()
