'use strict'
const { whenOver } = require('./memory-check.cjs')

require('throng')({
  count: Number(process.env.CPU_COUNT),
  worker: (id, disconnect) => {
    require('./app.cjs')
    whenOver(disconnect)
  },
})
