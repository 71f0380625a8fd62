// Occupies an abstract Unix socket until it is killed, as the user of the second argument.
const net = require('node:net')
const [name, uid] = process.argv.slice(2)
if (uid) process.setuid(Number(uid))
net.createServer().listen(`\0${name}`, () => console.log('held'))
