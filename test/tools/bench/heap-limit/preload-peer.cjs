// node --require preload-peer.cjs: node-oom-heapdump, as its documentation has it. BENCH_MODULES is where it is installed.
'use strict'
const { createRequire } = require('node:module')
const { join } = require('node:path')

const nodeOomHeapdump = createRequire(join(process.env.BENCH_MODULES, 'x.js'))('node-oom-heapdump')
nodeOomHeapdump({ path: join(process.cwd(), 'oom'), heapdumpOnOOM: true })
