// An application whose coverage is collected: node covered.js <options>. Half of it runs, before and after a heap snapshot.
const cpuMemoryMonitor = require('../../../..')

const monitor = cpuMemoryMonitor({
  memory: { threshold: '10gb' },
  logger: false,
  ...JSON.parse(process.argv[2]),
})

function runs(isTold) {
  return isTold ? 'told' : 'not told'
}

function runsLater() {
  return runs(true)
}

function neverRuns() {
  return runs(false)
}

async function main() {
  for (let round = 0; round < 1000; round++) runs(true)
  const { way } = await monitor.dumpMemory()
  await new Promise((later) => setTimeout(later, 200))
  runsLater()
  console.log(JSON.stringify({ type: 'dump', way }))
  if (!way) neverRuns()
  await monitor.stop()
}
main()
