'use strict'
// node main.js resolve-engines.js '{"engine","kinds","handOver","load","loadBare"}': what resolveEngines returns in the application
// of main.js. `handOver` names packages that the application loads itself and passes in an object.
const { readFileSync } = require('node:fs')
const { resolveEngines } = require('../../../../dist/capture/engines.js')
const { createOrders, runOrder } = require('../../../../dist/capture/main-thread/carry-out.js')

const options = JSON.parse(process.argv[2])
const catchesSigusr2 = () => {
  const mask = /SigCgt:\s*(\w+)/.exec(readFileSync('/proc/self/status', 'utf8'))[1]
  return (BigInt(`0x${mask}`) & (1n << 11n)) !== 0n
}

/** Not one of the packages that every installation has. */
const isOptional = (file) => /node_modules\/(v8-profiler-next|heapdump|memwatch)/.test(file)

const before = catchesSigusr2()
const optionsBefore = process.env.NODE_HEAPDUMP_OPTIONS
const result = {}
try {
  const handed = (options.handOver ?? []).map((name) => [name, require.main.require(name)])
  result.engines = resolveEngines(
    options.handOver ? Object.fromEntries(handed) : options.engine,
    options.kinds,
  )
} catch (error) {
  result.refused = error.message
}
result.loadedAtCall = Object.keys(require.cache).some((file) => isOptional(file))
if (options.load && result.engines) {
  const orders = createOrders(result.engines)
  result.load = JSON.parse(runOrder(orders, 'loadPackage', JSON.stringify({ kind: options.load })))
}
result.sigusr2 = { before, after: catchesSigusr2() }
result.environmentKept = process.env.NODE_HEAPDUMP_OPTIONS === optionsBefore
if (options.loadBare) {
  require.main.require('heapdump')
  result.sigusr2.bare = catchesSigusr2()
}
console.log(JSON.stringify(result))
