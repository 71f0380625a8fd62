// The native part alone, with a job of the test instead of the dump. The third argument names the job, the fourth is the
// time for which the process may be held, ms. The job leaves a file for each step that it reaches.
'use strict'
const { readlinkSync, writeFileSync } = require('node:fs')
const { loadForkHelper } = require('../../../../dist/capture/heap/fork/helper')
const { shapes } = require('./shapes')

const [job, holdMs] = process.argv.slice(4)
// process.pid is the parent's in the child.
const leave = (name, child) => writeFileSync(`${name}-${child.fork}`, readlinkSync('/proc/self'))
const spin = (ms) => {
  for (const startedAt = performance.now(); performance.now() - startedAt < ms;);
}
const jobs = {
  'writes at the second fork': (child) => {
    if (child.fork === 1) process.abort()
    leave('written', child)
    child.report('snapshot')
    return true
  },
  // As V8 does for its own threads.
  'waits for a thread at the first fork': (child) => {
    if (child.fork === 1) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
    leave('written', child)
    child.report('snapshot')
    return true
  },
  aborts: (child) => {
    leave('began', child)
    process.abort()
  },
  'reports and aborts, held to its end': (child) => {
    leave('collected', child)
    child.report('collected')
    process.abort()
  },
  fails: (child) => {
    leave('began', child)
    return false
  },
  'reports after half a second': (child) => {
    spin(500)
    leave('collected', child)
    child.report('collected')
    spin(60_000)
    return true
  },
  'writes the profile, but not the snapshot': (child) => {
    leave('written', child)
    child.report('profile')
    child.report('collected')
    spin(200)
    return true
  },
  'creates no file': (child) => {
    leave('began', child)
    child.report('unopened')
    child.report('collected')
    spin(200)
    return false
  },
  'creates the file of the profile alone': (child) => {
    leave('written', child)
    child.report('profile')
    child.report('unopened')
    child.report('collected')
    spin(200)
    return true
  },
  'finds the budget spent': (child) => {
    leave('began', child)
    child.report('spent')
    return false
  },
  // Orders that were queued before the fork reach the child too.
  'gets an order': () => {
    const { createOrders, runOrder } = require('../../../../dist/capture/main-thread/carry-out')
    const attempt = (work) => {
      try {
        return work()
      } catch (error) {
        return error.message
      }
    }
    const forked = attempt(() => helper.fork(plan.options, () => ''))
    const ordered = runOrder(createOrders({ cpu: {}, memory: {}, leak: {} }), 'heapStatistics', '{}')
    writeFileSync('answers', JSON.stringify({ forked, ordered }))
    return true
  },
  'does not begin: no memory': (child) => {
    leave('began', child)
    return true
  },
  'reports nothing': (child) => {
    leave('began', child)
    spin(60_000)
    return true
  },
}

const { helper } = loadForkHelper()
// JSON.parse, which is under way in the child, needs more.
const hasMemory = job !== 'does not begin: no memory'
const plan = {
  arming: helper.armHeapLimit(jobs[job]),
  options: {
    dataAllowanceBytes: hasMemory ? 2 ** 30 : 2 ** 20,
    deadlineSeconds: 60,
    niceness: 0,
    firstForOomKiller: true,
    ignoredSignal: 0,
  },
  holdMs: Number(holdMs),
  holdsToEnd: job.endsWith('held to its end') || job === 'writes the profile, but not the snapshot',
  writesLine: true,
  hasProfile: true,
  hasSnapshot: true,
  refusal: '',
  directory: process.cwd(),
  facts: '{}',
}
// The first plan is one to wait with.
helper.prepareHeapLimit(plan)
helper.prepareHeapLimit(plan)
setTimeout(hasMemory ? shapes.burst : shapes.json, 100)
