// Occupies an abstract Unix socket until it is killed, as the user of the second argument. With `anew` as the third it gives the
// name back and takes it again all the time.
const net = require('node:net')
const [name, uid, how] = process.argv.slice(2)
if (uid) process.setuid(Number(uid))

function hold(isFirst) {
  const server = net.createServer()
  // Another process has it.
  server.on('error', () => setTimeout(hold, 1, false))
  server.listen(`\0${name}`, () => {
    if (isFirst) console.log('held')
    if (how === 'anew') setTimeout(() => server.close(() => hold(false)), 30)
  })
}

hold(true)
