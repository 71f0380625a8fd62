'use strict'
const { run } = require('../../../../../dist/cluster')

// Under this load a worker is above the limit a few seconds after its birth. By default the next replacement would wait then,
// and there would be fewer of them than with the others.
const options = { minLifetime: 0, logger: false }

run(Number(process.env.LIMIT_BYTES), () => void require('./app.cjs'), undefined, options)
