// An application with a pool: node pool-program.mjs <pool> <task> <path of the monitor> <options as JSON>. Prints each dump as JSON.
import { createRequire } from 'node:module'
import { setTimeout as pause } from 'node:timers/promises'

const [pool, name, monitor, options] = process.argv.slice(2)
const cpuMemoryMonitor = createRequire(import.meta.url)(monitor)
const print = (object) => console.log(JSON.stringify(object))

const { default: Pool } = await import(pool)
const workers = new Pool({
  filename: new URL('pool-task.mjs', import.meta.url).href,
  minThreads: 2,
  maxThreads: 2,
  idleTimeout: 600_000,
})
// The boot uses much CPU, on a busy machine for seconds.
await pause(4000)
const watching = cpuMemoryMonitor({ ...JSON.parse(options), logger: false })
for (const event of ['dump', 'skip', 'failure'])
  watching.on(event, (payload) => print({ event, ...payload, error: undefined }))
await pause(1500)
await workers.run({}, { name })
