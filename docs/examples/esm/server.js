// The object that `require` gives.
import http from 'node:http'
import cpuMemoryMonitor from 'cpu-memory-monitor'

const monitor = cpuMemoryMonitor({
  profileDir: './evidence',
  cpu: { threshold: 60, counter: 3 },
  memory: { threshold: '400mb', counter: 3 },
})
monitor.on('dump', ({ file, pauseMs }) => console.log(`${file}, pause ${Math.round(pauseMs)} ms`))

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
