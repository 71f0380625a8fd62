'use strict'
const cpuMemoryMonitor = require('cpu-memory-monitor')
const fastify = require('fastify')

const app = fastify({ logger: true })

// Lines go where the application's go.
const monitor = cpuMemoryMonitor({
  profileDir: './evidence',
  logger: app.log,
  cpu: { threshold: 60, counter: 3 },
  memory: { threshold: '400mb', counter: 3 },
})
app.addHook('onClose', () => monitor.stop())

app.get('/', () => 'hello\n')
app.get('/report', () => `${renderReport()} rows\n`)

app
  .listen({ port: Number(process.env.PORT ?? 3000), host: '127.0.0.1' })
  .then(() => console.log(`listens on port ${app.server.address().port}`))

/** Uses the CPU for 200 ms. */
function renderReport() {
  const end = performance.now() + 200
  let rows = 0
  while (performance.now() < end) rows += 1
  return rows
}
