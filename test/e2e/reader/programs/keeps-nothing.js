'use strict'
// Writes a heap snapshot of a process that keeps nothing: node keeps-nothing.js <file>
require('node:v8').writeHeapSnapshot(process.argv[2])
console.log('written')
