// Takes memory dumps by hand, one after the other, and prints by how many bytes the heap of the main thread differs after full
// collections: from the twentieth dump, when the code of a dump has been compiled, to the last.
'use strict'
const { setFlagsFromString } = require('node:v8')
const { runInNewContext } = require('node:vm')
const startMonitor = require('../../../../dist')

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc')
const SETTLED_AFTER = 20
const [directory, count] = process.argv.slice(2)

async function heapUsed() {
  for (let round = 0; round < 5; round++) {
    collect()
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  return process.memoryUsage().heapUsed
}

async function main() {
  const monitor = startMonitor({
    profileDir: directory,
    logger: false,
    memory: { limiter: [1000, 'hour'], leakPair: false },
    keep: 2,
  })
  let first
  for (let dump = 1; dump <= Number(count); dump++) {
    const result = await monitor.dumpMemory()
    if (!result.file) throw new Error(`dump ${dump} left no file: ${JSON.stringify(result)}`)
    if (dump === SETTLED_AFTER) first = await heapUsed()
  }
  console.log((await heapUsed()) - first)
  await monitor.stop()
}
main()
