// What the watchdog costs, side by side: CPU of the main thread per second with (a) nothing, (b) the beat alone, (c) the
// watchdog on, (d) the same loops on the main thread, (e) 1.x's way: pidusage and setInterval there. And RSS of the thread
// above an empty Worker. Prints a table; exits non-zero when issue 3's bounds do not hold.
//
//   npm run bench -- watchdog [--seconds 20] [--rounds 3] [--json <file>]
//
// With the defaults two minutes: the cases run side by side.
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { parseArgs, promisify } from 'node:util'
import { require as requireTs } from 'tsx/cjs/api'

const { deliver, progress, reported } = requireTs('./output/report.ts', import.meta.url)
const { textOf } = requireTs('./watchdog/text.ts', import.meta.url)

const PROGRAM = fileURLToPath(new URL('watchdog-case.cjs', import.meta.url))
const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '20' },
    rounds: { type: 'string', default: '3' },
    json: { type: 'string' },
  },
})
const { seconds, rounds, json } = values
const MAX_MAIN_CPU_SHARE = 0.001
const MAX_THREAD_MB = 8

const run = async (name) =>
  JSON.parse((await promisify(execFile)(process.execPath, [PROGRAM, name, seconds])).stdout)

const median = (values) => values.sort((a, b) => a - b)[Math.floor(values.length / 2)]

/** The cases are idle nearly all the time, so they run side by side: what disturbs one disturbs all. */
async function measure(names) {
  const results = new Map(names.map((name) => [name, []]))
  for (let round = 0; round < Number(rounds); round++) {
    await Promise.all(names.map(async (name) => results.get(name).push(await run(name))))
    progress(`round ${round + 1} of ${rounds}`)
  }
  return (name, figure) => median(results.get(name).map((result) => result[figure]))
}

const cpuCases = ['nothing', 'beat', 'watchdog', 'main thread', '1.x']
const report = await reported({ seconds, rounds }, async () => {
  const figure = await measure([...cpuCases, 'empty worker'])
  return {
    cases: cpuCases.map((name) => ({ name, usPerSecond: figure(name, 'mainCpuUs') / Number(seconds) })),
    threadMb: (figure('watchdog', 'rssBytes') - figure('empty worker', 'rssBytes')) / 2 ** 20,
  }
})
deliver(report, textOf(report), json)
const share = (name) => report.rows.cases.find((each) => each.name === name).usPerSecond / 1e6

// The kernel counts the thread's CPU in us, but what runs beside on the core moves it: half the beat is the error granted.
const noiseShare = Math.max(share('beat') / 2, 50e-6)
const bounds = {
  'at most the beat alone plus measurement error': share('watchdog') <= share('beat') + noiseShare,
  'at most 0.1 % of a core': share('watchdog') <= MAX_MAIN_CPU_SHARE,
  'less than the loops on the main thread': share('watchdog') < share('main thread'),
  "less than 1.x's way": share('watchdog') < share('1.x'),
  'at most 8 MB above an empty Worker': report.rows.threadMb <= MAX_THREAD_MB,
}
for (const [bound, holds] of Object.entries(bounds))
  console.log(`  ${holds ? 'holds' : 'DOES NOT HOLD'}: ${bound}`)
process.exitCode = Object.values(bounds).every(Boolean) ? 0 : 1
