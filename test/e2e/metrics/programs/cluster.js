// A cluster of two workers whose primary serves its metrics: node cluster.js
const cluster = require('node:cluster')
const { createServer } = require('node:http')
const { register: registry } = require('prom-client')
const { run } = require('../../../../dist/cluster/index.js')
const { register } = require('../../../../dist/hooks/metrics/index.js')

const serve = () =>
  new Promise((resolve) => createServer((_, response) => response.end()).listen(0, '127.0.0.1', resolve))
process.env.CPU_COUNT = '2'
const workers = run('4gb', serve, undefined, { logger: false })

if (cluster.isPrimary) {
  register(workers, registry)
  const server = createServer(async (_, response) => response.end(await registry.metrics()))
  let ready = 0
  workers.on('ready', () => {
    if (++ready !== 2) return
    server.listen(0, '127.0.0.1', () => console.log(JSON.stringify({ port: server.address().port })))
  })
  process.once('SIGTERM', async () => {
    await workers.stop()
    server.closeAllConnections()
    server.close()
  })
}
