'use strict'
// Clients of socket.io, by long polling, by WebSocket, and by the upgrade from one to the other, that send numbered messages
// until SIGTERM. socket-io-clients.js PORT COUNT PAUSE_MS -> a line at the first acknowledgement, and one of all at the end.
const { io } = require('socket.io-client')

const [port, count, pauseMs] = process.argv.slice(2).map(Number)
const TRANSPORTS = [['polling'], ['websocket'], ['polling', 'websocket']]
const tally = { acknowledged: [], pending: 0, said: 0, connects: 0, workers: new Set() }
let isEnding = false

async function user(number) {
  const socket = io(`http://127.0.0.1:${port}`, {
    auth: { user: number },
    transports: TRANSPORTS[number % TRANSPORTS.length],
    forceNew: true,
    reconnectionDelay: 50,
    reconnectionDelayMax: 500,
    retries: 100,
    ackTimeout: 5000,
  })
  socket.on('connect', () => (tally.connects += 1))
  socket.on('said', () => (tally.said += 1))
  for (let message = 0; !isEnding; message++) {
    const id = `${number}-${message}`
    tally.pending += 1
    tally.workers.add(await socket.emitWithAck('say', id))
    tally.pending -= 1
    if (tally.acknowledged.length === 0) console.log('{"begun":true}')
    tally.acknowledged.push(id)
    await new Promise((resolve) => setTimeout(resolve, (0.5 + Math.random()) * pauseMs))
  }
  socket.close()
}

// A test that is aborted cannot end it.
const parent = process.ppid
setInterval(() => process.ppid !== parent && process.exit(1), 1000).unref()
process.on('SIGTERM', () => (isEnding = true))
Promise.all(Array.from({ length: count }, (_, number) => user(number))).then(() => {
  process.stdout.write(`${JSON.stringify({ ...tally, workers: tally.workers.size })}\n`, () =>
    process.exit(0),
  )
})
