'use strict'
// The workers turn their event loop for a while before they call run(), as modules with a top-level await do.
const cluster = require('node:cluster')

if (cluster.isPrimary) require('./app.js')
else setTimeout(() => require('./app.js'), 500)
