// Starts Redis on the loopback interface, from Debian's package `redis-server`: in memory only, in a directory that goes with it.
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createConnection, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'

/** Longer than a start takes on a busy machine, ms. */
const PATIENCE_MS = 30_000
const LOOK_MS = 20

/** @returns {string | undefined} Why no Redis can be started here. */
export function whyNoRedis() {
  const { error } = spawnSync('redis-server', ['--version'], { stdio: 'ignore' })
  return error && `redis-server is not installed: ${error.message}`
}

/**
 * @param {{ port?: number, args?: readonly string[] }} [options] `port`: where an earlier one was; `args`: further settings.
 */
export async function startRedis({ port, args = [] } = {}) {
  const at = port ?? (await freePort())
  const directory = mkdtempSync(join(tmpdir(), 'redis-'))
  const settings = [
    '--port',
    String(at),
    '--bind',
    '127.0.0.1',
    '--save',
    '',
    '--appendonly',
    'no',
    '--dir',
    directory,
  ]
  const child = spawn('redis-server', [...settings, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
  let log = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => (log += text))
  const ended = once(child, 'exit')
  const kill = () => child.kill('SIGKILL')
  process.once('exit', kill)
  const redis = {
    port: at,
    url: `redis://127.0.0.1:${at}`,
    /** @param {NodeJS.Signals} signal */
    kill: (signal) => child.kill(signal),
    /** @param {...string} words @returns {Promise<string>} The server's answer to one command. */
    ask: (...words) => ask(at, words),
    /** Resolves when it has ended. Idempotent. */
    async stop() {
      kill()
      await ended
      process.removeListener('exit', kill)
      rmSync(directory, { recursive: true, force: true })
    },
  }
  const givesUpAtMs = performance.now() + PATIENCE_MS
  while (!(await redis.ask('PING').catch(() => '')).startsWith('+PONG')) {
    if (child.exitCode !== null || performance.now() > givesUpAtMs) {
      await redis.stop()
      throw new Error(`redis-server did not start:\n${log}`)
    }
    await pause(LOOK_MS)
  }
  return redis
}

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address())
  server.close()
  await once(server, 'close')
  return port
}

/**
 * @param {number} port
 * @param {readonly string[]} words
 * @returns {Promise<string>}
 */
async function ask(port, words) {
  const socket = createConnection(port, '127.0.0.1')
  try {
    socket.write(
      `*${words.length}\r\n${words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join('')}`,
    )
    const [answer] = await once(socket, 'data')
    return String(answer)
  } finally {
    socket.destroy()
  }
}
