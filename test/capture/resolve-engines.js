'use strict'
// node resolve-engines.js '{"engine","kinds","directory","packages","loadHeapdump"}': what resolveEngines says in an application
// that has installed `packages`: their source by name.
const { mkdirSync, readFileSync, writeFileSync } = require('node:fs')
const { join } = require('node:path')
const { resolveEngines } = require('../../../dist/capture/engines.js')
const { createOrders, runOrder } = require('../../../dist/capture/orders.js')

const options = JSON.parse(process.argv[2])
for (const [name, source] of Object.entries(options.packages ?? {})) {
  const directory = join(options.directory, 'node_modules', name)
  mkdirSync(directory, { recursive: true })
  writeFileSync(join(directory, 'package.json'), JSON.stringify({ name, main: 'main.js' }))
  writeFileSync(join(directory, 'main.js'), source)
}
if (options.packages) process.chdir(options.directory)

const catchesSigusr2 = () => {
  const mask = /SigCgt:\s*(\w+)/.exec(readFileSync('/proc/self/status', 'utf8'))[1]
  return (BigInt(`0x${mask}`) & (1n << 11n)) !== 0n
}

const before = catchesSigusr2()
const optionsBefore = process.env.NODE_HEAPDUMP_OPTIONS
const result = {}
try {
  result.engines = resolveEngines(options.engine, options.kinds)
} catch (error) {
  result.refused = error.message
}
result.loadedAtCall = Object.keys(require.cache).some((file) => file.includes('/node_modules/'))
if (options.load && result.engines) {
  const orders = createOrders(result.engines)
  result.load = JSON.parse(runOrder(orders, 'loadPackage', JSON.stringify({ kind: options.load })))
}
result.sigusr2 = { before, after: catchesSigusr2() }
result.environmentKept = process.env.NODE_HEAPDUMP_OPTIONS === optionsBefore
if (options.loadBare) {
  require('node:module').createRequire(`${process.cwd()}/index.js`)('heapdump')
  result.sigusr2.bare = catchesSigusr2()
}
console.log(JSON.stringify(result))
