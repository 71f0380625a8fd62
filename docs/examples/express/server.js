'use strict'
// The first lines of the entry file, so that loading the application is watched too.
const cpuMemoryMonitor = require('cpu-memory-monitor')

cpuMemoryMonitor({
  profileDir: './evidence',
  cpu: { threshold: 60, counter: 3 },
  memory: { threshold: '400mb', counter: 3 },
})

const express = require('express')

const app = express()
app.get('/', (request, response) => response.send('hello\n'))
app.get('/report', (request, response) => response.send(`${renderReport()} rows\n`))

const server = app.listen(Number(process.env.PORT ?? 3000), '127.0.0.1', () =>
  console.log(`listens on port ${server.address().port}`),
)

/** Uses the CPU for 200 ms. */
function renderReport() {
  const end = performance.now() + 200
  let rows = 0
  while (performance.now() < end) rows += 1
  return rows
}
