// Replacements under work of every kind: sockets that the primary hands over, socket.io with 200 clients, HTTP/2 over TLS with
// streams of 5 s, UDP with answers after 300 ms, uploads of 20 MB. Nothing that was accepted fails, and at no moment do fewer
// than all workers serve. CLUSTER_REPLACEMENTS sets how many of each kind, 50 if absent; CLUSTER_KINDS which kinds.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import http2 from 'node:http2'
import { setTimeout as wait } from 'node:timers/promises'
import { require as requireTs } from 'tsx/cjs/api'

const { RunningCluster } = requireTs('../../e2e/cluster/running-cluster.ts', import.meta.url)
const { Load, User } = requireTs('../../e2e/cluster/http-client.ts', import.meta.url)
const { Sender, freePort } = requireTs('../../e2e/cluster/datagram-client.ts', import.meta.url)
const { Clients, checkNothingLost } = requireTs('../../e2e/cluster/socket-io.ts', import.meta.url)

const REPLACEMENTS = Number(process.env.CLUSTER_REPLACEMENTS ?? 50)
const LONGEST_MS = 17 * 60_000
/** Far above the longest request: on a starved machine each takes many times as long. */
const OPTIONS = { count: 3, minLifetime: 0, killTimeout: 60_000, logger: false }
const UPLOAD_BYTES = 20e6

const kinds = { handed, 'socket.io': socketIo, http2: http2Streams, udp, uploads }
const wanted = process.env.CLUSTER_KINDS?.split(',') ?? Object.keys(kinds)
const figures = []
for (const kind of wanted) {
  const undo = []
  try {
    figures.push(`${kind}: ${await kinds[kind]({ after: (each) => undo.unshift(each) })}`)
    console.log(figures.at(-1))
  } finally {
    for (const each of undo) await each()
  }
}
console.log(`Node ${process.versions.node}: ${REPLACEMENTS} replacements of each kind; ${figures.join('; ')}`)

async function handed(context) {
  const running = await start(context, { limit: '140mb' }, { program: 'hand-over.js', leakKb: 1200 })
  const load = new Load(context, await door(running), { users: 20, seconds: LONGEST_MS / 1000, mix: 'mixed' })
  await replaced(running)
  const { sent, ok, failed, why } = await load.end()
  assert.deepEqual([failed, ok, why], [0, sent, {}])
  return `${sent} requests, 0 failed`
}

async function socketIo(context) {
  const running = await start(context, { limit: '160mb', leakKb: 800 }, { program: 'socket-io.js' })
  const clients = new Clients(context, await door(running), 200, 5000)
  await replaced(running)
  const result = await clients.end()
  checkNothingLost(running, result)
  return `${result.acknowledged.length} messages acknowledged, 0 lost, ${result.connects} connects of 200 clients`
}

async function http2Streams(context) {
  const running = await start(context, { start: 'h2', limit: '140mb' }, { leakKb: 8000 })
  let isOver = false
  const tally = { ok: 0, failed: [] }
  const users = Array.from({ length: 20 }, async (_, i) => {
    await wait(i * 250)
    while (!isOver) await useSession(running.port, tally, () => isOver)
  })
  await replaced(running)
  isOver = true
  await Promise.all(users)
  assert.deepEqual(tally.failed, [])
  return `${tally.ok} streams, 0 failed`
}

/** One stream after the other, until the server asks to leave. */
async function useSession(port, tally, isOver) {
  const session = http2.connect(`https://127.0.0.1:${port}`, { rejectUnauthorized: false })
  let isLeaving = false
  session.on('goaway', () => (isLeaving = true))
  session.on('error', (error) => tally.failed.push(`session ${error.message}`))
  while (!isLeaving && !session.closed && !isOver()) {
    try {
      let body = ''
      for await (const text of session.request({ ':path': '/slow?ms=5000' }).setEncoding('utf8')) body += text
      if (/^slow \d+$/.test(body)) tally.ok += 1
      else tally.failed.push(`body ${body}`)
    } catch (error) {
      tally.failed.push(error.message)
    }
  }
  if (!session.destroyed) {
    session.close()
    await once(session, 'close')
  }
}

async function udp(context) {
  const port = await freePort()
  const running = await start(context, {
    start: 'udp',
    bind: { port },
    clean: 'answers',
    leakKb: 512,
    limit: '130mb',
  })
  const sender = new Sender(context, port)
  let isOver = false
  const sending = sender.until(() => isOver)
  await replaced(running).finally(() => (isOver = true))
  await sending
  await running.until('the last answers', () => sender.answered.size === sender.sent)
  return `${sender.sent} datagrams, all answered`
}

async function uploads(context) {
  const running = await start(context, { limit: '170mb' }, { leakKb: 6000 })
  let isOver = false
  let count = 0
  const piece = Buffer.alloc(1e6, 1)
  const users = Array.from({ length: 6 }, async () => {
    while (!isOver) {
      const user = new User(context, running.port)
      const { body } = await user.send('/upload', 'POST', async (req) => {
        for (let sent = 0; sent < UPLOAD_BYTES; sent += piece.length) {
          if (!req.write(piece)) await once(req, 'drain')
          await wait(20)
        }
      })
      assert.match(body, new RegExp(`^took ${UPLOAD_BYTES} `))
      user.leave()
      count += 1
    }
  })
  await Promise.race([replaced(running), ...users])
  isOver = true
  await Promise.all(users)
  check(running)
  return `${count} uploads, 0 failed`
}

async function start(context, config, { program, leakKb = 0 } = {}) {
  const started = { program, env: { LEAK_KB: String(leakKb) }, lifetimeMs: LONGEST_MS }
  const running = await RunningCluster.start(context, { ...config, options: OPTIONS }, started)
  await running.allReady()
  return running
}

/** The port on which the primary itself accepts. */
async function door(running) {
  await running.until('the door', () => running.times('door') > 0)
  return running.entries.find(({ ev }) => ev === 'door').port
}

async function replaced(running) {
  await running.recycled(REPLACEMENTS, LONGEST_MS)
  check(running)
}

function check(running) {
  assert.deepEqual(
    running.events('recycled').filter(({ code }) => code !== 0),
    [],
  )
  assert.equal(running.events('crash').length, 0)
  let serving = 0
  let least = Infinity
  for (const { ev } of running.entries) {
    if (ev === 'handle ready') serving += 1
    if (ev === 'handle drain') serving -= 1
    if (serving >= OPTIONS.count) least = Math.min(least, OPTIONS.count)
    else if (least !== Infinity) least = Math.min(least, serving)
  }
  assert.equal(least, OPTIONS.count, 'a moment with fewer workers')
}
