'use strict'
// node cpu-profile.js '{"engine","directory","durationMs","endAfterBurns","idle","trouble"}': one CPU profile of a process that burns CPU.
const { mkdirSync, rmSync } = require('node:fs')
const { build, job, openSession, outcome, report, traces } = require('./setup.js')

const options = JSON.parse(process.argv[2])

let burning = !options.idle
let burnsLeft = Infinity
let onLastBurn = () => {}

function burnTheCpu() {
  const until = performance.now() + 20
  let x = 0
  while (performance.now() < until) for (let i = 0; i < 10_000; i++) x += Math.sqrt(x + i)
  return x
}

function burnOn() {
  if (!burning) return
  if (burnsLeft-- === 0) onLastBurn()
  burnTheCpu()
  setImmediate(burnOn)
}

report(async () => {
  const early = new AbortController()
  const onStart = () => {
    if (options.endAfterBurns === undefined) return
    burnsLeft = options.endAfterBurns
    onLastBurn = () => early.abort()
  }
  const { cpu, said } = build({ ...options, onStart })
  const keepAlive = setInterval(() => {}, 1000)
  await warmUp()
  const before = traces()
  const capturer = cpu()
  const stranger = options.trouble === 'stranger' ? openSession() : undefined
  stranger?.post('Profiler.enable')
  stranger?.post('Profiler.start')
  const theirs = options.trouble === 'same-package' ? require(packageFile()) : undefined
  theirs?.startProfiling('theirs', true)
  burnOn()
  for (let i = 0; i < (options.warmBurns ?? 0); i++) await new Promise(setImmediate)

  const plan = await capturer.plan(options.directory)
  if (plan.skip) return { plan }
  const taking = outcome(plan.take(job(options.directory, 'cpu', options.durationMs), early.signal))
  if (options.trouble === 'directory-vanishes') {
    setTimeout(() => rmSync(options.directory, { recursive: true }), options.durationMs / 2)
  }
  const captured = await taking
  let again
  if (options.trouble === 'directory-vanishes') {
    mkdirSync(options.directory)
    again = await outcome(plan.take(job(options.directory, 'cpu', options.durationMs), early.signal))
  }
  burning = false
  let strangers
  stranger?.post(
    'Profiler.stop',
    (error, answer) => (strangers = error?.message ?? answer.profile.samples.length),
  )
  stranger?.disconnect()
  if (theirs) strangers = theirs.stopProfiling('theirs')?.title
  await capturer.close()
  await capturer.close()
  clearInterval(keepAlive)
  return { captured, again, strangers, said, before, after: traces(), ways: capturer.ways() }
})

/**
 * Files, inspector and the standard streams once, so that what Node itself opens at first use is not taken for ours: libuv
 * opens /dev/null with the first stream, and v8-profiler-next's loader looks at process.stderr.
 */
async function warmUp() {
  process.stdout.write('')
  process.stderr.write('')
  await require('node:fs/promises').stat(options.directory)
  openSession().disconnect()
}

function packageFile() {
  return require('node:module').createRequire(`${process.cwd()}/index.js`).resolve('v8-profiler-next')
}
