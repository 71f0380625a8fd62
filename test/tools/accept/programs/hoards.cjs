'use strict'
// Keeps objects of one shape: node hoards.cjs <shape> [file | wait]. It writes its snapshot to the file; with `wait` it stays, and
// `run()` is a global; with neither it ends.
const { EventEmitter } = require('node:events')
const { writeHeapSnapshot } = require('node:v8')
const { Worker, parentPort } = require('node:worker_threads')

class SessionRecord {
  constructor(user) {
    this.user = `user ${user} ${Math.random()}`
    this.pages = [user, `page ${user}`]
  }
}

class Job {
  constructor(next) {
    this.next = next
    this.steps = new Array(20).fill(0.5)
  }
}

const sessions = new Map()
const waiting = []
const feed = new EventEmitter()
feed.setMaxListeners(0)

function login(user) {
  sessions.set(user, new SessionRecord(user))
}

function subscribe(user) {
  const page = new Array(200).fill(user + 0.5)
  feed.on('price', function onPrice() {
    return page.length
  })
}

function readUploads() {
  return Array.from({ length: 300 }, (_, at) => Buffer.alloc(100_000, at))
}

function parseRows() {
  return JSON.parse(
    JSON.stringify(Array.from({ length: 60_000 }, (_, at) => ({ article: at, price: at / 7, tags: [at] }))),
  )
}

function queueJobs() {
  let head
  for (let at = 0; at < 20_000; at++) head = new Job(head)
  return head
}

function countVisits() {
  const visits = {}
  for (let at = 0; at < 60_000; at++) visits[`visitor ${at}`] = { at, last: `page ${at}` }
  return visits
}

const shapes = {
  sessions: () => Array.from({ length: 60_000 }, (_, user) => login(user)).length,
  jobs: () => (globalThis.jobs = queueJobs()),
  uploads: () => (globalThis.uploads = readUploads()),
  rows: () => (globalThis.rows = parseRows()),
  listeners: () => Array.from({ length: 5000 }, (_, user) => subscribe(user)).length,
  promises() {
    for (let at = 0; at < 60_000; at++)
      waiting.push(
        new Promise(function waitForReply(resolve) {
          feed.reply = resolve
        }),
      )
  },
  visits: () => (globalThis.visits = countVisits()),
  nothing: () => undefined,
  endless() {
    for (let user = 0; ; user++) login(user)
  },
  worker(file) {
    const worker = new Worker(__filename, { argv: ['sessions', 'answer'] })
    worker.once('message', async () => {
      const snapshot = await worker.getHeapSnapshot()
      snapshot.pipe(require('node:fs').createWriteStream(file)).once('finish', () => process.exit())
    })
  },
}

const [, , shape, then] = process.argv
globalThis.kept = [login, subscribe, waiting]
globalThis.run = shapes[shape]
if (then === 'wait') setInterval(() => undefined, 1000)
else {
  globalThis.run(then)
  if (then === 'answer') {
    parentPort.postMessage('full')
    setInterval(() => undefined, 1000)
  } else if (then !== undefined && shape !== 'worker') writeHeapSnapshot(then)
}
