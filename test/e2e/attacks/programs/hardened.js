// A service that changes its globals after the monitor has started, as hardening snippets do, and lives on for a beat.
//
//   node hardened.js <options> <change>[+<change>…] [bare]      bare: without the monitor, for comparison
//
// It prints, as JSON, what became of a dump of each kind.
const [, , options, change, isBare] = process.argv
const write = process.stdout.write.bind(process.stdout)
const { setTimeout } = globalThis
const monitor = isBare ? undefined : require('cpu-memory-monitor')(JSON.parse(options))
const stringify = JSON.stringify
const dumps = []
const changes = {
  withoutAtomics: () => delete globalThis.Atomics,
  withoutSharedArrayBuffer: () => delete globalThis.SharedArrayBuffer,
  withoutAbortController: () => delete globalThis.AbortController,
  withoutStructuredClone: () => delete globalThis.structuredClone,
  withoutWebAssembly: () => delete globalThis.WebAssembly,
  withoutPerformance: () => delete globalThis.performance,
  withoutQueueMicrotask: () => delete globalThis.queueMicrotask,
  frozen: () => Object.freeze(globalThis),
  frozenPrototypes: () =>
    [Object, Array, Function, String, Promise].forEach((one) => Object.freeze(one.prototype)),
  random: () => (Math.random = () => 0),
  kill: () => (process.kill = () => true),
  json: () => (globalThis.JSON = { parse: () => ({}), stringify: () => '{}' }),
  date: () => (globalThis.Date = class extends Date {}),
  symbol: () => (globalThis.Symbol = () => 'symbol'),
  timers: () =>
    (globalThis.setTimeout = globalThis.setInterval = globalThis.setImmediate = () => ({ unref() {} })),
}

setTimeout(async () => {
  for (const one of change.split('+')) changes[one]()
  if (monitor) dumps.push(await monitor.dumpCpu(10), await monitor.dumpMemory())
  setTimeout(() => {
    write(`${stringify(dumps.map((dump) => dump.file ?? `${dump.skipped}: ${dump.message}`))}\n`)
    process.exit(0)
  }, 1200)
}, 300)
