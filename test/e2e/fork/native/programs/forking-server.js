'use strict'
// A server that forks itself as often as it is asked to, and the jobs that its children can do.
// It reads lines from its standard input and answers each with one line of JSON:
//   fork <job> [argument]   {"pid", "resultDescriptor", …}, later {"end": {…}, "result": "…", "pid"}
//   spawn                   {"spawned": exit code of a program started in the ordinary way}
//   survey                  {"survey": "made"}
//   marks                   {"marks": how many mappings of this process are left out of forks}
// At the end of the input it closes the server, and ends by itself.
const childProcess = require('node:child_process')
const fs = require('node:fs')
const http = require('node:http')
const net = require('node:net')
const readline = require('node:readline')
const { Worker } = require('node:worker_threads')
const { loadForkHelper } = require('../../../../../dist/capture/heap/fork/helper.js')

const { helper } = loadForkHelper()
const ownFile = fs.openSync(__filename)
const options = {
  dataAllowanceBytes: Number(process.env.ALLOWANCE ?? 2 ** 30),
  deadlineSeconds: 60,
  niceness: 3,
  firstForOomKiller: process.env.VOLUNTEERS !== 'false',
  ignoredSignal: Number(process.env.IGNORES ?? 0),
}
if (process.env.DEADLINE) options.deadlineSeconds = Number(process.env.DEADLINE)

function tell(what) {
  process.stdout.write(`${JSON.stringify(what)}\n`)
}

function statusField(name) {
  return new RegExp(`^${name}:\\s+(.*)$`, 'm').exec(fs.readFileSync('/proc/self/status', 'utf8'))?.[1]
}

const jobs = {
  describe() {
    const descriptors = fs.readdirSync('/proc/self/fd').map((name) => {
      try {
        return fs.readlinkSync(`/proc/self/fd/${name}`)
      } catch {
        return 'gone' // The directory itself, closed by now.
      }
    })
    let readsItsFile = 'reads'
    try {
      fs.readSync(ownFile, Buffer.alloc(1))
    } catch (error) {
      readsItsFile = error.code
    }
    const limits = fs.readFileSync('/proc/self/limits', 'utf8')
    const limit = (name) => Number(new RegExp(`^${name}\\s+(\\d+)`, 'm').exec(limits)?.[1])
    return JSON.stringify({
      readsItsFile,
      descriptors: descriptors.map((target) => target.replace(/:.*/, '')),
      threads: Number(statusField('Threads')),
      name: statusField('Name'),
      caught: statusField('SigCgt'),
      blocked: statusField('SigBlk'),
      ignored: statusField('SigIgn'),
      dataBytes: Number.parseInt(statusField('VmData'), 10) * 1024,
      dataLimitBytes: limit('Max data size'),
      coreLimitBytes: limit('Max core file size'),
      oomScore: Number(fs.readFileSync('/proc/self/oom_score_adj', 'utf8')),
      niceness: Number(
        fs
          .readFileSync('/proc/self/stat', 'utf8')
          .replace(/^.*\) /s, '')
          .split(' ')[16],
      ),
      group: Number(
        fs
          .readFileSync('/proc/self/stat', 'utf8')
          .replace(/^.*\) /s, '')
          .split(' ')[2],
      ),
      directory: process.cwd(),
    })
  },
  // Busy until the file is there, then says so in another file.
  outlast(file) {
    fs.writeFileSync(`${file}.started`, '')
    // Seldom, for each look allocates, and a collection may find that it needs a thread: then the child gives up.
    while (!fs.existsSync(file)) for (let turn = 0; turn < 5e6; turn++);
    fs.writeFileSync(`${file}.finished`, '')
    return 'outlasted'
  },
  exhaust() {
    const buffers = []
    for (;;) buffers.push(Buffer.alloc(2 ** 20, 1))
  },
  exhaustHeap() {
    const objects = []
    for (;;) objects.push({ text: `object-${objects.length}` })
  },
  wait() {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
    return 'woken'
  },
  throw() {
    throw new Error('the job failed')
  },
  print() {
    fs.writeSync(2, 'printed by the child')
    fs.writeSync(1, 'printed by the child')
    return 'printed'
  },
  answerAtLength(length) {
    return 'x'.repeat(Number(length))
  },
  answerWithNothing() {},
}

async function fork(job, argument) {
  const forked = helper.fork(options, () => jobs[job](argument))
  tell(forked)
  let result = ''
  const pipe = new net.Socket({ fd: forked.resultDescriptor })
  pipe.setEncoding('utf8').on('data', (text) => (result += text))
  await new Promise((resolve) => pipe.on('close', resolve))
  let end
  while ((end = helper.wait(forked.pid)) === undefined) await new Promise((resolve) => setTimeout(resolve, 1))
  tell({ end, result, pid: forked.pid })
}

function refusal(attempt) {
  try {
    attempt()
    return 'none'
  } catch (error) {
    return `${error.name}: ${error.message}`
  }
}

const commands = {
  fork,
  spawn: () => childProcess.spawn('true').on('exit', (code) => tell({ spawned: code })),
  marks: () => tell({ marks: fs.readFileSync('/proc/self/smaps', 'utf8').match(/^VmFlags:.* dc/gm).length }),
  survey: () => tell({ survey: helper.survey() ?? 'made' }),
  wait: (pid) => tell({ end: helper.wait(Number(pid)) }),
  refusals: () =>
    tell({
      refusals: [
        refusal(() => helper.fork({ ...options, niceness: -1 }, () => '')),
        refusal(() => helper.fork({ ...options, deadlineSeconds: 0 }, () => '')),
        refusal(() => helper.fork({ ...options, firstForOomKiller: 1 }, () => '')),
        refusal(() => helper.fork({ ...options, dataAllowanceBytes: NaN }, () => '')),
        refusal(() => helper.fork({ ...options, ignoredSignal: 65 }, () => '')),
        refusal(() => helper.fork({}, () => '')),
        refusal(() => helper.fork()),
        refusal(() => helper.fork(options, 'job')),
        refusal(() => helper.wait(-1)),
      ],
    }),
  forkInWorker() {
    const program = `
      const { loadForkHelper } = require(${JSON.stringify(require.resolve('../../../../../dist/capture/heap/fork/helper.js'))})
      const { parentPort } = require('node:worker_threads')
      const { helper } = loadForkHelper()
      helper.survey()
      try { helper.fork(${JSON.stringify(options)}, () => '') } catch (error) { parentPort.postMessage(error.message) }`
    new Worker(program, { eval: true }).on('message', (message) => tell({ refused: message }))
  },
}

process.on('SIGTERM', () => tell({ signal: 'SIGTERM' }))
const server = http
  .createServer((request, response) => response.end('served'))
  .listen(Number(process.env.PORT ?? 0), '127.0.0.1')
const input = readline.createInterface({ input: process.stdin })
input.on('line', (line) => {
  const [command, ...words] = line.split(' ')
  void commands[command](...words)
})
input.on('close', () => server.close())
server.on('listening', () => tell({ port: server.address().port }))
