// A cluster whose primary only forks. It stays for a moment, as a primary does.
const cluster = require('node:cluster')

if (cluster.isPrimary) {
  for (let each = 0; each < 2; each++) cluster.fork()
  let ended = 0
  cluster.on('exit', (worker, code) => {
    console.log('worker ended with', code)
    if (++ended === 2) setTimeout(() => process.exit(0), 300)
  })
} else {
  setTimeout(() => process.exit(3), 300)
}
