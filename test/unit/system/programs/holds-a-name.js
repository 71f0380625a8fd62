// Occupies abstract Unix sockets until it is killed, as the user of the second argument. With `anew` as the third it gives the name
// back and takes it again all the time; with a number it occupies so many names beside, of the longest kind.
const net = require('node:net')
const [joined, uid, how] = process.argv.slice(2)
const names = joined.split('\t')
const LONGEST_NAME = 100
for (let number = 0; number < Number(how); number++)
  names.push(`${process.pid}/${number}`.padEnd(LONGEST_NAME, 'x'))
if (uid) process.setuid(Number(uid))
let missing = names.length

function hold(name, isFirst) {
  const server = net.createServer()
  // Another process has it.
  server.on('error', () => setTimeout(hold, 1, name, false))
  server.listen(`\0${name}`, () => {
    if (isFirst && --missing === 0) console.log('held')
    if (how === 'anew') setTimeout(() => server.close(() => hold(name, false)), 30)
  })
}

for (const name of names) hold(name, true)
