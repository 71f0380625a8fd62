import http = require('node:http')
import type net = require('node:net')
import cpuMemoryMonitor = require('cpu-memory-monitor')

const options: cpuMemoryMonitor.Options = {
  profileDir: './evidence',
  cpu: { threshold: 60, counter: 3 },
  memory: { threshold: '400mb', counter: 3 },
}
const monitor = cpuMemoryMonitor(options)
monitor.on('dump', ({ kind, rule, file }: cpuMemoryMonitor.Dump) => console.log(`${rule} ${kind}: ${file}`))

const server = http.createServer((request, response) => {
  response.end(request.url === '/report' ? `${renderReport()} rows\n` : 'hello\n')
})
server.listen(Number(process.env.PORT ?? 3000), '127.0.0.1', () =>
  console.log(`listens on port ${(server.address() as net.AddressInfo).port}`),
)

/** Uses the CPU for 200 ms. */
function renderReport(): number {
  const end = performance.now() + 200
  let rows = 0
  while (performance.now() < end) rows += 1
  return rows
}
