// What the watchdog costs, side by side: CPU of the main thread per second with (a) nothing, (b) the beat alone, (c) the
// watchdog on, (d) the same loops on the main thread, (e) 1.x's way: pidusage and setInterval there. And RSS of the thread
// above an empty Worker. Prints a table; exits non-zero when issue 3's bounds do not hold.
//
//   npm run build && node test/tools/bench/watchdog.mjs [seconds per case, default 20] [rounds, default 3]
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const PROGRAM = fileURLToPath(new URL('watchdog-case.cjs', import.meta.url))
const [seconds = '20', rounds = '3'] = process.argv.slice(2)
const MAX_MAIN_CPU_SHARE = 0.001
const MAX_THREAD_BYTES = 8 * 1024 * 1024

const run = async (name) =>
  JSON.parse((await promisify(execFile)(process.execPath, [PROGRAM, name, seconds])).stdout)

const median = (values) => values.sort((a, b) => a - b)[Math.floor(values.length / 2)]

/** The cases are idle nearly all the time, so they run side by side: what disturbs one disturbs all. */
async function measure(names) {
  const results = new Map(names.map((name) => [name, []]))
  for (let round = 0; round < Number(rounds); round++) {
    await Promise.all(names.map(async (name) => results.get(name).push(await run(name))))
  }
  return (name, figure) => median(results.get(name).map((result) => result[figure]))
}

const cpuCases = ['nothing', 'beat', 'watchdog', 'main thread', '1.x']
const figure = await measure([...cpuCases, 'empty worker'])
const share = (name) => figure(name, 'mainCpuUs') / (Number(seconds) * 1e6)

console.log(`Node ${process.version}: CPU of the main thread, median of ${rounds} rounds of ${seconds} s`)
for (const name of cpuCases) {
  const usPerS = figure(name, 'mainCpuUs') / Number(seconds)
  console.log(
    `  ${name.padEnd(12)} ${usPerS.toFixed(0).padStart(6)} us/s  ${(share(name) * 100).toFixed(4)} % of a core`,
  )
}
const threadBytes = figure('watchdog', 'rssBytes') - figure('empty worker', 'rssBytes')
console.log(`  the thread: ${(threadBytes / 2 ** 20).toFixed(1)} MB of RSS above an empty Worker`)

// The kernel counts the thread's CPU in us, but what runs beside on the core moves it: half the beat is the error granted.
const noiseShare = Math.max(share('beat') / 2, 50e-6)
const bounds = {
  'at most the beat alone plus measurement error': share('watchdog') <= share('beat') + noiseShare,
  'at most 0.1 % of a core': share('watchdog') <= MAX_MAIN_CPU_SHARE,
  'less than the loops on the main thread': share('watchdog') < share('main thread'),
  "less than 1.x's way": share('watchdog') < share('1.x'),
  'at most 8 MB above an empty Worker': threadBytes <= MAX_THREAD_BYTES,
}
for (const [bound, holds] of Object.entries(bounds))
  console.log(`  ${holds ? 'holds' : 'DOES NOT HOLD'}: ${bound}`)
process.exitCode = Object.values(bounds).every(Boolean) ? 0 : 1
