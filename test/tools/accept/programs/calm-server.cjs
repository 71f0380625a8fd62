// A server that is asked ten times a second, with the monitor at its default settings (argument `watched`) or without. Prints
// its RSS every ten seconds. Each answer allocates about 100 kB that is garbage afterwards.
'use strict'
const http = require('node:http')

if (process.argv[2] === 'watched') {
  const startMonitor = require('../../../../dist')
  startMonitor({ logger: false, profileDir: process.argv[3] })
}
const server = http.createServer((request, response) => {
  const rows = Array.from({ length: 1000 }, (_, index) => ({ index, path: request.url, at: Date.now() }))
  response.end(JSON.stringify(rows))
})
server.listen(0, '127.0.0.1', () => {
  const { port } = server.address()
  const agent = new http.Agent({ keepAlive: true })
  setInterval(() => http.get({ port, host: '127.0.0.1', agent }, (response) => response.resume()), 100)
  setInterval(() => console.log(process.memoryUsage.rss()), 10_000)
})
