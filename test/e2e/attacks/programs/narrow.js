// A service under a limit of processes that is nearly used up: node narrow.js <options>|bare idle|pool|full
//
// idle   does nothing for a few readings
// pool   and uses libuv's thread pool at the end
// full   uses the limit up, orders a dump of each kind, and prints what became of them
const { spawn } = require('node:child_process')
const { stat } = require('node:fs')
const { setTimeout: sleep } = require('node:timers/promises')

const [, , options, mode] = process.argv
const monitor = options === 'bare' ? undefined : require('cpu-memory-monitor')(JSON.parse(options))
const [dumpCpu, dumpMemory] = [() => monitor?.dumpCpu(20), () => monitor?.dumpMemory()]

/** Programs that end with this one, until there is room for no more. */
async function useUp() {
  for (;;) {
    const child = spawn('cat', { stdio: ['pipe', 'ignore', 'ignore'] })
    const error = await new Promise((resolve) => child.once('error', resolve).once('spawn', resolve))
    if (error) return error.code
  }
}

async function main() {
  await sleep(mode === 'full' ? 1500 : 600)
  if (mode === 'pool') await new Promise((resolve) => stat('/', resolve))
  if (mode === 'full') console.log(await useUp())
  for (const dump of mode === 'full' ? [dumpCpu, dumpMemory] : []) {
    const { file, skipped, message } = (await dump()) ?? {}
    console.log(file === undefined ? `${skipped}: ${message}` : 'file')
  }
  process.exit(0)
}

main()
