// Occupies abstract Unix sockets until it is killed, as the user of the second argument. With `anew` as the third it gives each name
// back and takes it again all the time.
const { helper } = require('../../../../dist/capture/heap/fork/helper.js').loadForkHelper()
const [joined, uid, how] = process.argv.slice(2)
if (uid) process.setuid(Number(uid))

// Kept: a socket that is lost is closed.
const held = new Map()

function hold(name) {
  const socket = helper.listenAt(name)
  held.set(name, socket)
  // Without one another process has it.
  if (!socket) return setTimeout(hold, 1, name)
  if (how !== 'anew') return
  setTimeout(() => {
    helper.closeSocket(socket)
    hold(name)
  }, 30)
}

for (const name of joined.split('\t')) hold(name)
setInterval(() => held, 1000)
console.log('held')
