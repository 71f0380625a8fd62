// The load of the benchmark `idle`, in a process and on a core of its own. A message { port, rate, seconds } starts it; the answer
// has the requests that were answered, those that failed, and the latency. Without a rate each connection asks again as soon as it
// has an answer. With one, requests are due at even distances whatever the answers do, and a latency counts from the instant at
// which its request was due: a server that stalls cannot hide the requests that it has kept waiting.
'use strict'
const { once } = require('node:events')
const { connect } = require('node:net')
const { createHistogram } = require('node:perf_hooks')

const CONNECTIONS = 64
/** The last answers are waited for this long. */
const LAST_ANSWERS_MS = 2000
const REQUEST = 'GET /customers/7/orders HTTP/1.1\r\nhost: localhost\r\n\r\n'
const END_OF_HEAD = Buffer.from('\r\n\r\n')

/** One request at a time on a connection that stays. */
class Connection {
  #socket
  #onAnswer
  #dueAtMs = 0
  /** Bytes of the answer that have not come; 0 before its head. */
  #missing = 0
  #isOk = false
  #head = Buffer.alloc(0)

  constructor(port, onAnswer) {
    this.#onAnswer = onAnswer
    this.#socket = connect(port, '127.0.0.1').setNoDelay(true)
    this.#socket.on('data', (bytes) => this.#take(bytes))
    this.opened = once(this.#socket, 'connect')
    this.#socket.on('error', () => this.#end(false))
  }

  ask(dueAtMs) {
    this.#dueAtMs = dueAtMs
    this.#socket.write(REQUEST)
  }

  close() {
    this.#socket.destroy()
  }

  #take(bytes) {
    if (this.#missing > 0) return this.#count(bytes.length)
    this.#head = this.#head.length > 0 ? Buffer.concat([this.#head, bytes]) : bytes
    const endsAt = this.#head.indexOf(END_OF_HEAD)
    if (endsAt < 0) return
    const head = this.#head.latin1Slice(0, endsAt)
    this.#isOk = head.startsWith('HTTP/1.1 200')
    this.#missing = Number(/content-length: (\d+)/i.exec(head)[1])
    const bodyBytes = this.#head.length - endsAt - END_OF_HEAD.length
    this.#head = Buffer.alloc(0)
    this.#count(bodyBytes)
  }

  #count(bodyBytes) {
    this.#missing -= bodyBytes
    if (this.#missing <= 0) this.#end(this.#isOk)
  }

  #end(isOk) {
    this.#missing = 0
    this.#onAnswer(this, this.#dueAtMs, isOk)
  }
}

async function run({ port, rate, seconds }) {
  const latency = createHistogram()
  const free = []
  const waiting = []
  const lengthMs = seconds * 1000
  let [ok, failed, sent, startedAtMs] = [0, 0, 0, Infinity]
  const onAnswer = (connection, dueAtMs, isOk) => {
    const nowMs = performance.now()
    latency.record(Math.max(1, Math.round((nowMs - dueAtMs) * 1e6)))
    if (isOk) ok++
    else failed++
    if (rate !== undefined && waiting.length > 0) connection.ask(waiting.shift())
    else if (rate === undefined && nowMs < startedAtMs + lengthMs) {
      sent++
      connection.ask(nowMs)
    } else free.push(connection)
  }
  const connections = Array.from({ length: CONNECTIONS }, () => new Connection(port, onAnswer))
  await Promise.all(connections.map(({ opened }) => opened))
  free.push(...connections)
  startedAtMs = performance.now()
  const isOver = () => performance.now() >= startedAtMs + lengthMs
  const askWhatIsDue = () => {
    const due =
      rate === undefined ? sent + free.length : Math.floor(((performance.now() - startedAtMs) / 1000) * rate)
    for (; sent < due; sent++) {
      const dueAtMs = rate === undefined ? performance.now() : startedAtMs + ((sent + 1) / rate) * 1000
      const connection = free.pop()
      if (connection) connection.ask(dueAtMs)
      else waiting.push(dueAtMs)
    }
  }
  await new Promise((ended) => {
    // Not a timer, which could not be finer than 1 ms: requests would come in bursts.
    const turn = () => {
      if (isOver()) return ended()
      askWhatIsDue()
      setImmediate(turn)
    }
    turn()
  })
  const giveUpAtMs = performance.now() + LAST_ANSWERS_MS
  while (ok + failed < sent && performance.now() < giveUpAtMs)
    await new Promise((next) => setTimeout(next, 1))
  const elapsedS = (performance.now() - startedAtMs) / 1000
  for (const connection of connections) connection.close()
  const atMs = (percentile) => latency.percentile(percentile) / 1e6
  return {
    ok,
    failed: sent - ok,
    perSecond: ok / elapsedS,
    p50Ms: atMs(50),
    p99Ms: atMs(99),
    p999Ms: atMs(99.9),
  }
}

process.on('disconnect', () => process.exit())
process.on('message', async (order) => process.send(await run(order)))
