import assert from 'node:assert/strict'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import type { IncomingMessage } from 'node:http'
import http2 from 'node:http2'
import https from 'node:https'
import net, { type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test, type TestContext } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { freePort } from './datagram-client'
import { Load, PATIENCE_MS, User } from './http-client'
import { type AppConfig, RunningCluster } from './running-cluster'
import { LONG_MS } from './under-load'

const often = { count: 2, minLifetime: 0, killTimeout: 4000 }
/** A request that a worker that does not wait for it leaves unanswered, also where its drain begins late; shorter than `killTimeout`. */
const IN_FLIGHT_MS = 3000

interface HandOver {
  readonly kind?: string
  readonly to?: 'all' | 'serving'
  readonly closes?: boolean
  readonly holds?: boolean
  readonly growsMb?: number
}

/** @returns The cluster, and the port on which its primary accepts. */
async function start(
  t: TestContext,
  handOver: HandOver,
  config: object = {},
  env: Record<string, string> = {},
): Promise<readonly [RunningCluster, number]> {
  const running = await RunningCluster.start(
    t,
    { options: often, ...config },
    { program: 'hand-over.js', env: { HAND_OVER: JSON.stringify(handOver), ...env } },
  )
  await running.allReady()
  await running.until('the door', () => running.times('door') > 0)
  return [running, Number(running.entries.find(({ ev }) => ev === 'door')?.port)]
}

function draining(running: RunningCluster): Promise<void> {
  return running.until('a drain', () => running.said.some((line) => 'clean' in line))
}

/** The worker that was replaced went by itself, not at its deadline. */
async function wentWithCode0(running: RunningCluster): Promise<void> {
  await running.recycled(1)
  assert.equal(running.events('recycled')[0]?.code, 0, running.story())
}

/** A request that comes before the drain and is answered in it, however late the drain begins. */
async function isAnsweredInTheDrain(t: TestContext, running: RunningCluster, port: number): Promise<void> {
  const release = join(folder(t), 'release')
  const user = new User(t, port)
  await user.get('/leak?mb=150')
  const answer = user.get(`/held?file=${encodeURIComponent(release)}`)
  await draining(running)
  // A worker that does not wait for the answer is gone by then.
  await wait(1500)
  assert.equal(
    running.said.some((line) => 'drained' in line),
    false,
  )
  writeFileSync(release, '')
  const { status, isLast } = await answer
  assert.deepEqual([status, isLast], [200, true])
  await wentWithCode0(running)
}

describe('sockets that the primary hands to its workers', { concurrency: 3 }, () => {
  test('when the cluster stops and the primary accepts no more, no request that was accepted is dropped', async (t) => {
    const directory = mkdtempSync(join(tmpdir(), 'hand-over-'))
    t.after(() => rmSync(directory, { recursive: true }))
    const ACCEPTED_FILE = join(directory, 'accepted')
    const config = { options: { count: 3, killTimeout: 15_000 } }
    const [running, port] = await start(t, { to: 'all', closes: true }, config, { ACCEPTED_FILE })
    const load = new Load(t, port, { users: 20, seconds: 120, mix: 'mixed' })
    const accepted = () => (existsSync(ACCEPTED_FILE) ? readFileSync(ACCEPTED_FILE, 'utf8') : '').split('\n')
    await running.until('load', () => accepted().length > 300)
    running.kill('SIGTERM')
    assert.deepEqual(await running.gone(LONG_MS), { code: 0, signal: null })
    const { ok, failedIds } = await load.end()
    assert.ok(ok > 200)
    const begun = new Set(accepted())
    assert.deepEqual(
      failedIds.filter((id) => begun.has(id)),
      [],
    )
  })

  for (const [to, whom] of [
    ['all', 'to draining workers too'],
    ['serving', 'to serving workers only'],
  ] as const) {
    test(`under mixed load no request is dropped (${whom})`, async (t) => {
      const config = { limit: '140mb', options: { count: 3, minLifetime: 0, killTimeout: 15_000 } }
      const [running, port] = await start(t, { to }, config, { LEAK_KB: '1200' })
      const load = new Load(t, port, { users: 20, seconds: 120, mix: 'mixed' })
      await running.recycled(3, 120_000)
      const result = await load.end()
      assert.equal(result.failed, 0, `${JSON.stringify(result)}\n${running.stderr}`)
      assert.ok(running.events('recycled').every(({ code }) => code === 0))
      assert.equal(running.events('crash').length, 0)
    })
  }

  test('with requests that never leave a worker without one, it is left out after half of its time', async (t) => {
    const [running, port] = await start(t, { to: 'all' })
    // A connection for each request, as without keep-alive: one that is kept stays with its worker.
    const get = async (path: string) => {
      const user = new User(t, port)
      const { body } = await user.get(path)
      user.leave()
      return body
    }
    let isOver = false
    // One after the other, so that there is no moment at which all have their answers.
    const busy = Array.from({ length: 12 }, async (_, i) => {
      await wait(i * 75)
      while (!isOver) assert.match(await get('/slow?ms=900'), /^slow \d+$/)
    })
    await get('/leak?mb=150')
    await wentWithCode0(running)
    isOver = true
    await Promise.all(busy)
  })

  test('drained waits for the last answer, and the client is asked to leave', async (t) => {
    const [running, port] = await start(t, {}, { options: { ...often, killTimeout: LONG_MS } })
    await isAnsweredInTheDrain(t, running, port)
    assert.ok(running.said.some((line) => 'drained' in line))
  })

  test('an idle connection that is used during the drain is served; an unused one ends with the linger', async (t) => {
    const [running, port] = await start(t, {})
    const users = [new User(t, port), new User(t, port)]
    const pids = await Promise.all(users.map(async (user) => (await user.get('/')).pid))
    const silent = [1, 2].map(() => net.connect(port, '127.0.0.1'))
    t.after(() => silent.forEach((socket) => socket.destroy()))
    const { pid } = await new User(t, port).get('/leak?mb=150')
    await draining(running)
    await wait(1000)
    const answer = await users[pids.indexOf(pid)]?.get('/')
    assert.deepEqual([answer?.pid, answer?.isLast], [pid, true])
    await wentWithCode0(running)
  })

  test('a socket that was handed before the drain and is given to the server long after it is served', async (t) => {
    const [running, port] = await start(t, { holds: true, growsMb: 150 })
    const users = Array.from({ length: 8 }, () => new User(t, port))
    const answers = await Promise.all(users.map((user) => user.get('/slow?ms=200')))
    assert.ok(answers.every(({ status }) => status === 200))
    await wentWithCode0(running)
  })

  for (const kind of ['https', 'h2']) {
    test(`HTTP/1.1 over TLS (${kind})`, async (t) => {
      const [running, port] = await start(t, { kind })
      const agent = new https.Agent({ keepAlive: true, maxSockets: 1, rejectUnauthorized: false })
      t.after(() => agent.destroy())
      const get = async (path: string) => {
        const [res] = (await once(https.get({ host: '127.0.0.1', port, path, agent }), 'response')) as [
          IncomingMessage,
        ]
        let body = ''
        for await (const text of res.setEncoding('utf8')) body += String(text)
        return { body, isLast: res.headers.connection === 'close' }
      }
      await get('/leak?mb=150')
      const answer = await get(`/slow?ms=${IN_FLIGHT_MS}`)
      assert.match(answer.body, /^slow/)
      assert.equal(answer.isLast, true)
      await wentWithCode0(running)
    })
  }

  for (const kind of ['h2', 'h2c']) {
    test(`HTTP/2 (${kind}): a stream is finished, and the client gets a GOAWAY`, async (t) => {
      const [running, port] = await start(t, { kind })
      const scheme = kind === 'h2' ? 'https' : 'http'
      const session = http2.connect(`${scheme}://127.0.0.1:${port}`, { rejectUnauthorized: false })
      t.after(() => session.destroy())
      const goaway = once(session, 'goaway', { signal: AbortSignal.timeout(PATIENCE_MS) })
      const request = async (path: string) => {
        let body = ''
        for await (const text of session.request({ ':path': path }).setEncoding('utf8')) body += String(text)
        return body
      }
      await request('/leak?mb=150')
      assert.match(await request(`/slow?ms=${IN_FLIGHT_MS}`), /^slow \d+$/)
      await goaway
      await wentWithCode0(running)
    })
  }

  test('net: what the application has to answer is answered', async (t) => {
    const [running, port] = await start(t, { kind: 'net' })
    const socket = net.connect(port, '127.0.0.1')
    t.after(() => socket.destroy())
    const ask = async (text: string) => {
      socket.write(text)
      return String((await once(socket, 'data'))[0])
    }
    await ask('leak')
    await draining(running)
    assert.match(await ask('one more'), /^one more \d+/)
    socket.end()
    await wentWithCode0(running)
  })
})

describe('listeners that are not shared by port', { concurrency: 3 }, () => {
  test('a descriptor that the primary inherited, as from systemd: no request is dropped', async (t) => {
    const listener = net.createServer()
    await once(listener.listen(0, '127.0.0.1'), 'listening')
    const { port } = listener.address() as AddressInfo
    const descriptor = (listener as unknown as { _handle: { fd: number } })._handle.fd
    const config = {
      start: 'descriptor',
      limit: '140mb',
      options: { count: 2, minLifetime: 0, killTimeout: LONG_MS },
    }
    const running = await RunningCluster.start(t, config, { env: { LEAK_KB: '1200' }, descriptor })
    // It would accept connections too.
    listener.close()
    await running.allReady()
    const load = new Load(t, port, { users: 10, seconds: 120, mix: 'mixed' })
    await running.recycled(2, 120_000)
    const result = await load.end()
    assert.equal(result.failed, 0, JSON.stringify(result))
    assert.ok(running.events('recycled').every(({ code }) => code === 0))
  })

  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
  const hasReusePort = major > 22 || (major === 22 && minor >= 12)
  for (const [name, skip] of [
    ['exclusive', false],
    ['reusePort', !hasReusePort && 'reusePort came with Node 22.12'],
  ] as const) {
    test(
      `${name}: what a worker has accepted is answered, and its client asked to leave`,
      { skip },
      async (t) => {
        const options = { ...often, killTimeout: LONG_MS }
        const running = await startOwn(t, { port: 0, [name]: true }, { clean: 'say', options })
        await isAnsweredInTheDrain(t, running, Number(ports(running)[0]?.port))
      },
    )

    test(`${name}: under load no request that a worker has begun fails`, { skip }, async (t) => {
      const ACCEPTED_FILE = join(folder(t), 'accepted')
      // A port for all of them, or one for each.
      const port = name === 'reusePort' ? await freePort() : 0
      const options = { count: 2, minLifetime: 0, killTimeout: LONG_MS }
      const more = { limit: '140mb', options, env: { LEAK_KB: '1200', ACCEPTED_FILE } }
      const running = await startOwn(t, { port, [name]: true }, more)
      const loads = [...new Set(ports(running).map((line) => line.port))].map(
        (each) => new Load(t, each, { users: 10, seconds: 120, mix: 'mixed', prefix: `${each}-` }),
      )
      await running.recycled(port === 0 ? 2 : 4, 120_000)
      const results = await Promise.all(loads.map((load) => load.end()))
      const begun = new Set(readFileSync(ACCEPTED_FILE, 'utf8').split('\n'))
      assert.ok(results.every(({ ok }) => ok > 50))
      assert.deepEqual(
        results.flatMap(({ failedIds }) => failedIds).filter((id) => begun.has(id)),
        [],
      )
      assert.ok(running.events('recycled').every(({ code }) => code === 0))
      assert.equal(running.events('crash').length, 0)
    })

    test(
      `${name}: one of three workers is replaced under requests: none that was accepted fails, and the others serve on`,
      { skip },
      async (t) => {
        const ACCEPTED_FILE = join(folder(t), 'accepted')
        const accepted = () =>
          (existsSync(ACCEPTED_FILE) ? readFileSync(ACCEPTED_FILE, 'utf8') : '').split('\n')
        const own = { port: name === 'reusePort' ? await freePort() : 0, [name]: true }
        const options = { count: 3, minLifetime: 0, killTimeout: LONG_MS }
        // Only a drain ends idle connections: Node would after 5 s, and on a loaded machine a replacement takes longer.
        const config = { clean: 'say', keepAliveTimeout: 60_000, options }
        const running = await startOwn(t, own, { ...config, env: { ACCEPTED_FILE } })
        const all = [...new Set(ports(running).map(({ port }) => port))]
        const loads = all.map((port) => ({
          port,
          load: new Load(t, port, { users: 10, seconds: 120, mix: 'mixed', prefix: `${port}-` }),
        }))
        await running.until('load', () => accepted().length > 300)

        const users = Array.from({ length: 9 }, (_, i) => new User(t, all[i % all.length] ?? 0))
        const pids = await Promise.all(users.map(async (user) => (await user.get('/')).pid))
        const [pid] = pids
        await users[0]?.get('/leak?mb=150')
        await draining(running)
        // Within this time a drain that leaves idle connections alone for no time would end them.
        await wait(1000)
        const answers = await Promise.all(users.map((user) => user.get('/')))
        assert.deepEqual(
          answers.map((answer) => [answer.pid, answer.isLast]),
          pids.map((each) => [each, each === pid]),
        )
        await wentWithCode0(running)
        const [, , , replacement] = ports(running)
        assert.ok(replacement)
        await untilAnswered(t, replacement)

        const results = await Promise.all(
          loads.map(async ({ port, load }) => ({ port, ...(await load.end()) })),
        )
        const begun = new Set(accepted())
        // A connection that fails before its first answer may still have been with the kernel; one that is used again was
        // accepted. An exclusive port is gone with its worker.
        const isUnaccepted = name === 'exclusive' ? /^connect ECONN(RESET|REFUSED)$/ : /^connect ECONNRESET$/
        const itsPort = ports(running).find((line) => line.pid === pid)?.port
        for (const { port, ok, failedIds, why } of results) {
          assert.ok(ok > 50, `${ok} answers`)
          assert.deepEqual(
            failedIds.filter((id) => begun.has(id)),
            [],
          )
          const wrong = Object.keys(why).filter((each) => port !== itsPort || !isUnaccepted.test(each))
          assert.deepEqual(wrong, [])
        }
        assert.deepEqual(
          running.events('recycled').map((event) => event.pid),
          [pid],
        )
        assert.equal(running.events('crash').length, 0)
        const order = running.entries.map(({ ev }) => ev).filter((ev) => /^handle (ready|drain)$/.test(ev))
        const ready = Array.from({ length: 4 }, () => 'handle ready')
        assert.deepEqual(order, [...ready, 'handle drain'])
      },
    )

    test(
      `${name}: connections that wait in the kernel at the order to drain are accepted and served`,
      { skip },
      async (t) => {
        const [go, release] = ['go', 'release'].map((file) => join(folder(t), file)) as [string, string]
        const options = { count: 2, minLifetime: 0, killTimeout: LONG_MS }
        const running = await startOwn(t, { port: 0, [name]: true }, { go, options })
        const { port, pid } = ports(running)[0] ?? { port: 0, pid: 0 }
        await new User(t, port).get('/leak?mb=150')
        await running.until('the replacement', () => running.events('recycle').length > 0)
        await new User(t, port).get(`/block?file=${encodeURIComponent(release)}`)
        await running.until('a loop that does not turn', () => existsSync(`${release}.blocks`))
        writeFileSync(go, '')
        await running.until('the order', () => running.events('drain').length > 0)
        const answers = await Promise.all(Array.from({ length: 5 }, () => connectAndAsk(t, port)))
        writeFileSync(release, '')
        for (const { answer } of answers) {
          assert.match(await answer, new RegExp(`^HTTP/1.1 200 OK\r\n[^]*Connection: close\r\n[^]*ok ${pid}`))
        }
        await wentWithCode0(running)
      },
    )
  }
})

function folder(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'own-listener-'))
  t.after(() => rmSync(directory, { recursive: true }))
  return directory
}

/** Workers, each with a listening socket of its own. */
async function startOwn(
  t: TestContext,
  own: object,
  { env = {}, ...more }: AppConfig & { readonly env?: Record<string, string> },
): Promise<RunningCluster> {
  const running = await RunningCluster.start(t, { start: 'own', own, options: often, ...more }, { env })
  const { count } = running
  await running.until('all to serve', () => ports(running).length >= count && running.ready() >= count)
  return running
}

/** The ports on which workers have listened so far. */
function ports(running: RunningCluster): readonly { readonly port: number; readonly pid: number }[] {
  return running.said.flatMap(({ port, pid }) =>
    port === undefined ? [] : [{ port: Number(port), pid: Number(pid) }],
  )
}

/** Connects anew until the worker answers: on a shared port the kernel chooses among several. */
async function untilAnswered(
  t: TestContext,
  { port, pid }: { readonly port: number; readonly pid: number },
): Promise<void> {
  const ask = async () => {
    const user = new User(t, port)
    const answer = await user.get('/')
    user.leave()
    return answer.pid
  }
  while ((await ask()) !== pid);
}

/** @returns The whole answer, once the kernel has made the connection and has the request. */
async function connectAndAsk(t: TestContext, port: number): Promise<{ answer: Promise<string> }> {
  const socket = net.connect(port, '127.0.0.1')
  t.after(() => socket.destroy())
  await once(socket, 'connect')
  socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
  return { answer: textOf(socket) }
}

async function textOf(socket: net.Socket): Promise<string> {
  let text = ''
  for await (const piece of socket.setEncoding('utf8')) text += String(piece)
  return text
}
