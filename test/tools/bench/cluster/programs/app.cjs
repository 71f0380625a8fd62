'use strict'
// The application of every variant: the tests' server, which leaks LEAK_KB with each request.
const server = require('../../../../e2e/cluster/programs/server.js').create()

server.listen(Number(process.env.PORT), '127.0.0.1')
// What PM2's documentation asks of an application.
if (process.env.CLOSE_ON_SIGINT) process.on('SIGINT', () => server.close(() => process.exit(0)))
