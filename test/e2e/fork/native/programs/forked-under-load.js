'use strict'
// An application under load that forks heap snapshots of itself, one after the other, and tells how each one ended, one
// line of JSON a round. Each round has three tries. Then it stops its load, and ends by itself.
// Usage: node forked-under-load.js <directory> <rounds> <heap MB>
const crypto = require('node:crypto')
const fs = require('node:fs')
const http = require('node:http')
const inspector = require('node:inspector')
const net = require('node:net')
const path = require('node:path')
const v8 = require('node:v8')
const { once } = require('node:events')
const { Worker } = require('node:worker_threads')
const { loadForkHelper } = require('../../../../../dist/capture/heap/fork/helper.js')

const [directory, rounds, heapMegabytes] = process.argv.slice(2)
const { helper } = loadForkHelper()

class Leaked {
  constructor(id) {
    this.id = id
    this.name = `leaked-${id}`
    this.tags = [id % 100, id]
  }
}

const leaked = []
while (process.memoryUsage().heapUsed < Number(heapMegabytes) * 1e6) {
  for (let count = 0; count < 1000; count++) leaked.push(new Leaked(leaked.length))
}

function makeGarbage() {
  const garbage = []
  for (let index = 0; index < 2000; index++) garbage.push({ index, text: `garbage-${index}` })
  return garbage.length
}

async function startLoad() {
  const timer = setInterval(makeGarbage, 4)
  const workers = [1, 2].map(() => new Worker(`${makeGarbage}; setInterval(makeGarbage, 4)`, { eval: true }))
  await Promise.all(workers.map((worker) => once(worker, 'online')))
  let busy = true
  const hash = () => busy && crypto.pbkdf2('secret', 'salt', 2000, 64, 'sha512', () => setTimeout(hash, 2))
  hash()
  hash()
  const session = new inspector.Session()
  session.connect()
  session.post('HeapProfiler.enable')
  session.post('HeapProfiler.startSampling')
  const server = http.createServer((request, response) => response.end('served')).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: server.address().port,
    async stop() {
      busy = false
      clearInterval(timer)
      session.disconnect()
      server.close()
      await Promise.all(workers.map((worker) => worker.terminate()))
    },
  }
}

function fork(file) {
  const limits = { dataAllowanceBytes: 2 ** 31, deadlineSeconds: 60, niceness: 5 }
  const options = { ...limits, firstForOomKiller: true, ignoredSignal: 0 }
  return helper.fork(options, () => {
    const start = performance.now()
    const session = new inspector.Session()
    session.connect()
    session.post('HeapProfiler.getSamplingProfile', (error, answer) => {
      if (error) throw new Error(error.message)
      fs.writeFileSync(`${file}.heapprofile`, JSON.stringify(answer.profile))
    })
    v8.writeHeapSnapshot(file)
    return JSON.stringify({ ms: performance.now() - start })
  })
}

function processorTicks(pid) {
  const fields = fs
    .readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /s, '')
    .split(' ')
  return Number(fields[11]) + Number(fields[12])
}

// Resolves when the pipe ends; kills a child whose processor time has stood still for two seconds.
async function awaitEnd({ pid, resultDescriptor }) {
  let result = ''
  let stalledChecks = 0
  let ticks = -1
  let stalled = false
  const watch = setInterval(() => {
    const before = ticks
    ticks = processorTicks(pid)
    stalledChecks = ticks === before ? stalledChecks + 1 : 0
    if (stalledChecks < 20) return
    stalled = true
    process.kill(pid, 'SIGKILL')
  }, 100)
  const pipe = new net.Socket({ fd: resultDescriptor })
  pipe.setEncoding('utf8').on('data', (text) => (result += text))
  await once(pipe, 'close')
  clearInterval(watch)
  let exit
  while ((exit = helper.wait(pid)) === undefined) await new Promise((resolve) => setTimeout(resolve, 1))
  return { exit, stalled, result }
}

function isWhole(file) {
  const snapshot = JSON.parse(fs.readFileSync(file, 'utf8'))
  const { node_fields: fields, node_types: types } = snapshot.snapshot.meta
  const name = snapshot.strings.indexOf('Leaked')
  const object = types[0].indexOf('object')
  let instances = 0
  for (let at = 0; at < snapshot.nodes.length; at += fields.length) {
    if (snapshot.nodes[at] === object && snapshot.nodes[at + 1] === name) instances++
  }
  return (
    instances >= leaked.length &&
    JSON.parse(fs.readFileSync(`${file}.heapprofile`, 'utf8')).head !== undefined
  )
}

async function request(port) {
  const response = await fetch(`http://127.0.0.1:${port}/`, { headers: { connection: 'close' } })
  return response.text()
}

async function forkUntilWhole(file, port) {
  const tries = []
  let whole = false
  while (!whole && tries.length < 3) {
    // Not always at the same moment of a collection.
    await new Promise((resolve) => setTimeout(resolve, 10 + Math.random() * 40))
    const forked = fork(file)
    const served = await request(port)
    const { exit, stalled, result } = await awaitEnd(forked)
    whole = exit.code === 0 && isWhole(file)
    tries.push({
      ...exit,
      stalled,
      served,
      pauseMs: forked.pauseMs,
      forkMs: forked.forkMs,
      result,
    })
    for (const written of [file, `${file}.heapprofile`]) fs.rmSync(written, { force: true })
  }
  return { whole, tries }
}

async function main() {
  const load = await startLoad()
  for (let round = 0; round < Number(rounds); round++) {
    const outcome = await forkUntilWhole(path.join(directory, `round-${round}.heapsnapshot`), load.port)
    console.log(JSON.stringify({ round, ...outcome }))
  }
  await load.stop()
}

void main()
