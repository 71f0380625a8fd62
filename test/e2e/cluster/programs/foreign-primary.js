'use strict'
// A worker that calls run, below a primary that knows nothing of it, as under PM2 in cluster mode. Once the worker is ready its
// primary sends it the signal or, for `forge`, the messages that this library would. The primary ends as its worker ends, and
// writes every message that Node did not send.
const cluster = require('node:cluster')
const { run } = require('../../../../dist/cluster')

const [order] = process.argv.slice(2)
if (cluster.isPrimary) {
  const worker = cluster.fork()
  const forged = { cmd: 'NODE_CPU_MEMORY_MONITOR', kind: 'drain', reason: 'stop', dump: false }
  worker.on('exit', (code, by) => {
    process.stdout.write(String(by))
    process.exit(code ?? 1)
  })
  worker.process.on('internalMessage', ({ cmd }) => {
    if (cmd !== 'NODE_CLUSTER') process.stdout.write(`${cmd} `)
  })
  worker.on('message', (message) => {
    if (message !== 'ready') process.stdout.write(`${message} `)
    else if (order === 'forge') {
      for (const secret of [undefined, null, '', 'undefined']) worker.send({ ...forged, secret })
    } else if (order) worker.process.kill(order)
  })
} else {
  const clean = ({ reason }) => process.send(reason)
  run(
    '1gb',
    () => {
      process.send('ready')
      if (!order || order === 'forge') setTimeout(() => process.exit(7), 300)
      // Without the drain it would go on.
      else setInterval(() => {}, 1000)
    },
    clean,
    { checkInterval: 50 },
  )
}
