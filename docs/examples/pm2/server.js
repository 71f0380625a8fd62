'use strict'
// Nothing in here knows of the monitor: see ecosystem.config.js.
const http = require('node:http')

const server = http.createServer((request, response) => {
  response.end(request.url === '/report' ? `${renderReport()} rows\n` : 'hello\n')
})
server.listen(Number(process.env.PORT ?? 3000), '127.0.0.1', () =>
  console.log(`listens on port ${server.address().port}`),
)

/** Uses the CPU for 200 ms. */
function renderReport() {
  const end = performance.now() + 200
  let rows = 0
  while (performance.now() < end) rows += 1
  return rows
}
