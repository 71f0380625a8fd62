// One case of the benchmark of CPU dumps: node cpu-dump-workers.cjs <idle workers> <hot workers>. Prints the longest pause of the
// main thread during a dump, ms, by a timer that is due every 2 ms, and how many files the dump left.
const { mkdtempSync, rmSync } = require('node:fs')
const { tmpdir } = require('node:os')
const { join } = require('node:path')
const { Worker } = require('node:worker_threads')
const { setTimeout: sleep } = require('node:timers/promises')

const [idle, hot] = process.argv.slice(2).map(Number)
const profileDir = mkdtempSync(join(tmpdir(), 'cpu-dump-'))
process.on('exit', () => rmSync(profileDir, { recursive: true, force: true }))

const start = (code) => new Promise((online) => new Worker(code, { eval: true }).once('online', online))
const SPINS =
  'function spin() { let x = 0; for (let i = 0; i < 1e6; i++) x += Math.sqrt(x + i) } for (;;) spin()'

async function main() {
  // The monitor keeps no process alive.
  setTimeout(() => {}, 2 ** 31 - 1)
  await new Promise((info) =>
    Object.assign(globalThis, {
      monitor: require('../../..')({
        cpu: { threshold: 10_000, profileDir },
        signal: false,
        logger: { info, warn() {}, error: console.error },
      }),
    }),
  )
  for (let count = 0; count < idle; count++) await start('setInterval(() => {}, 100)')
  for (let count = 0; count < hot; count++) await start(SPINS)
  await sleep(2000)
  let [lastMs, pauseMs] = [performance.now(), 0]
  setInterval(() => {
    const nowMs = performance.now()
    pauseMs = Math.max(pauseMs, nowMs - lastMs)
    lastMs = nowMs
  }, 2)
  await sleep(100)
  pauseMs = 0
  const { files } = await globalThis.monitor.dumpCpu(4000)
  console.log(JSON.stringify({ pauseMs, files: files.length }))
  process.exit(0)
}

void main()
