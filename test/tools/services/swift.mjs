// OpenStack Swift with s3api and tempauth, from Debian's packages (swift-proxy, swift-account, swift-container, swift-object), on
// loopback: a real S3 server that checks signatures, up within seconds.
//
//   node test/tools/services/swift.mjs      prints what to connect with, and runs until it is interrupted
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'

const KINDS = ['account', 'container', 'object']
const SERVERS = [...KINDS, 'proxy'].map((kind) => `/usr/bin/swift-${kind}-server`)
/** Debian's Python, for which its Swift is installed. */
const PYTHON = '/usr/bin/python3'
/** Its servers read the salt of their hashes from here and from nowhere else. */
const SALT = '/etc/swift/swift.conf'
/** Longer than a start takes among sixty busy processes on two cores, ms. */
const PATIENCE_MS = 300_000

export const CREDENTIALS = { accessKeyId: 'test:tester', secretAccessKey: 'testing' }
/** A user who may do nothing. */
export const POWERLESS = { accessKeyId: 'test:guest', secretAccessKey: 'guesting' }

/** @returns Why Swift cannot be started here; `undefined` when it can. */
export function whyNoSwift() {
  const missing = [...SERVERS, PYTHON, SALT].filter((file) => !existsSync(file))
  if (missing.length > 0) return `OpenStack Swift is not installed: no ${missing.join(', ')}`
  try {
    readFileSync(SALT)
    return undefined
  } catch (error) {
    return `OpenStack Swift cannot be started: ${error.message}`
  }
}

/** Starts an empty Swift. Its data outlive `kill`; `stop` deletes them. */
export async function startSwift() {
  const why = whyNoSwift()
  if (why !== undefined) throw new Error(why)
  const folder = mkdtempSync(join(tmpdir(), 'swift-'))
  try {
    const ports = await freePorts(SERVERS.length)
    writeConfiguration(folder, ports)
    const swift = new Swift(folder, ports)
    await swift.start()
    return swift
  } catch (error) {
    rmSync(folder, { recursive: true, force: true })
    throw error
  }
}

class Swift {
  #folder
  #ports
  #children = []

  constructor(folder, ports) {
    this.#folder = folder
    this.#ports = ports
    this.endpoint = `http://127.0.0.1:${ports.at(-1)}`
  }

  /** Starts the servers, also after `kill`. Resolves when they accept connections. */
  async start() {
    this.#children = SERVERS.map((file, at) =>
      spawn(PYTHON, [file, configurationOf(this.#folder, at)], { stdio: ['ignore', 'ignore', 'pipe'] }),
    )
    let errors = ''
    for (const child of this.#children) child.stderr.on('data', (text) => (errors += text))
    const givesUpAtMs = performance.now() + PATIENCE_MS
    for (const port of this.#ports) {
      while (!(await accepts(port))) {
        const ended = this.#children.find(({ exitCode }) => exitCode !== null)
        if (ended || performance.now() > givesUpAtMs) {
          await this.kill()
          const how = ended
            ? `${ended.spawnargs[1]} ended with ${ended.exitCode}`
            : `nothing listens on ${port}`
          throw new Error(`Swift did not start: ${how}: ${errors}`)
        }
        await pause(50)
      }
    }
  }

  /** Ends the servers in the middle of whatever they do. */
  async kill() {
    const running = this.#children.filter((child) => child.exitCode === null && child.signalCode === null)
    const ended = running.map((child) => once(child, 'exit'))
    for (const child of running) child.kill('SIGKILL')
    await Promise.all(ended)
  }

  async stop() {
    await this.kill()
    rmSync(this.#folder, { recursive: true, force: true })
  }
}

function configurationOf(folder, at) {
  return join(folder, `${[...KINDS, 'proxy'][at]}.conf`)
}

function writeConfiguration(folder, ports) {
  mkdirSync(join(folder, 'devices', 'd1'), { recursive: true })
  const common = (port) => `[DEFAULT]
bind_ip = 127.0.0.1
bind_port = ${port}
workers = 0
user = ${userInfo().username}
swift_dir = ${folder}
`
  KINDS.forEach((kind, at) => {
    writeFileSync(
      configurationOf(folder, at),
      `${common(ports[at])}devices = ${join(folder, 'devices')}
mount_check = false
fallocate_reserve = 0
recon_cache_path = ${folder}

[pipeline:main]
pipeline = ${kind}-server

[app:${kind}-server]
use = egg:swift#${kind}
`,
    )
  })
  writeFileSync(
    configurationOf(folder, KINDS.length),
    `${common(ports.at(-1))}
[pipeline:main]
pipeline = catch_errors cache s3api tempauth bulk slo dlo proxy-server

[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true

[filter:tempauth]
use = egg:swift#tempauth
user_test_tester = ${CREDENTIALS.secretAccessKey} .admin
user_test_guest = ${POWERLESS.secretAccessKey}

# Without a memcached all is read from the other servers, but the filters ask for the client of one.
[filter:cache]
use = egg:swift#memcache
memcache_servers = 127.0.0.1:9
connect_timeout = 0.05

[filter:s3api]
use = egg:swift#s3api

[filter:bulk]
use = egg:swift#bulk

[filter:slo]
use = egg:swift#slo

[filter:dlo]
use = egg:swift#dlo

[filter:catch_errors]
use = egg:swift#catch_errors
`,
  )
  const rings = KINDS.map((kind, at) => [join(folder, `${kind}.ring.gz`), ports[at]])
  const { status, stderr } = spawnSync(PYTHON, ['-c', RINGS, JSON.stringify(rings)], { encoding: 'utf8' })
  if (status !== 0) throw new Error(`the rings of Swift could not be written: ${stderr}`)
}

/** A ring of one device for each server. */
const RINGS = `
import json, sys
from swift.common.ring import RingBuilder
for file, port in json.loads(sys.argv[1]):
    builder = RingBuilder(4, 1, 0)
    builder.add_dev(dict(id=0, region=1, zone=1, weight=1, ip='127.0.0.1', port=port, device='d1'))
    builder.rebalance()
    builder.get_ring().save(file)
`

async function freePorts(count) {
  const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'))
  await Promise.all(servers.map((server) => once(server, 'listening')))
  const ports = servers.map((server) => server.address().port)
  for (const server of servers) server.close()
  return ports
}

function accepts(port) {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false))
    socket.once('connect', () => socket.destroy())
  })
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  void startSwift().then((swift) => {
    console.log(JSON.stringify({ endpoint: swift.endpoint, credentials: CREDENTIALS }))
    for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => void swift.stop())
  })
}
