// Serves the metrics of a monitor to Prometheus: node exposes.js <options as JSON>. Takes one heap snapshot by hand first.
const { createServer } = require('node:http')
const { setTimeout: pause } = require('node:timers/promises')
const { register: registry, Registry } = require('prom-client')
const cpuMemoryMonitor = require('../../../../dist/index.js')
const { register } = require('../../../../dist/hooks/metrics/index.js')

const say = (object) => console.log(JSON.stringify(object))

async function main() {
  const monitor = cpuMemoryMonitor(JSON.parse(process.argv[2]))
  const unregister = register(monitor, registry)
  const names = registry.getMetricsAsArray().map(({ name }) => name)
  say({ before: await registry.metrics() })
  let refused = ''
  try {
    register(monitor, registry)
  } catch (error) {
    refused = error.message
  }
  say({
    refused,
    isUnchanged:
      registry
        .getMetricsAsArray()
        .map(({ name }) => name)
        .join() === names.join(),
  })
  const other = new Registry()
  register(monitor, other)()
  say({ leftAfterUnregister: other.getMetricsAsArray().length })
  const { file } = await monitor.dumpMemory()
  const rules = Object.keys(monitor.stats().rules)
  while (rules.some((rule) => monitor.stats().rules[rule].latest === undefined)) await pause(20)
  const server = createServer(async (_, response) => {
    response.setHeader('content-type', registry.contentType)
    response.end(await registry.metrics())
  })
  server.listen(0, '127.0.0.1', () => say({ file, port: server.address().port }))
  process.once('SIGTERM', async () => {
    unregister()
    say({ leftAtTheEnd: registry.getMetricsAsArray().length })
    await monitor.stop()
    server.closeAllConnections()
    server.close()
  })
}

main()
