// The host of one campaign, seen from outside: its process, its disk, its memory limit, and all that it said.
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { get } from 'node:http'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { withCgroup } from '../accept/programs/forking.mjs'

const DISK_MB = 700
const MEMORY_MB = 900
const HEAP_LIMIT_MB = 120
const DESCRIPTORS = 128
/** Longest wait for an answer of a host whose loop will be free again, ms. */
const PATIENCE_MS = 60_000

const MB = 1024 * 1024
const program = fileURLToPath(new URL('host.cjs', import.meta.url))

/** Of Debian's package libfaketime: the wall clock of one process, apart from that of the machine. */
const FAKETIME = ['x86_64', 'aarch64']
  .map((processor) => `/usr/lib/${processor}-linux-gnu/faketime/libfaketimeMT.so.1`)
  .find(existsSync)

/** Why a fault cannot be made here, by what it needs; `undefined` where it can. */
export const whyNot = {
  root: process.getuid?.() === 0 ? undefined : 'only root may mount a disk and set a memory limit',
  clock: FAKETIME === undefined ? 'the package libfaketime is not installed' : undefined,
}

/** Runs `follow` with a host that has a disk and a memory limit of its own, and takes all away afterwards. */
export async function withHost(follow) {
  const disk = mkdtempSync(join(tmpdir(), 'cmm-faults-'))
  const withLimit = whyNot.root === undefined ? withCgroup : (_, run) => run()
  try {
    if (whyNot.root === undefined)
      execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${DISK_MB}m,mode=700`, 'tmpfs', disk])
    return await withLimit(MEMORY_MB * MB, async (procs) => {
      const host = new Host(disk, procs)
      try {
        await host.listening
        return await follow(host)
      } finally {
        await host.end()
      }
    })
  } finally {
    if (whyNot.root === undefined) execFileSync('umount', ['--lazy', disk])
    rmSync(disk, { recursive: true, force: true })
    rmSync(clockOf(disk), { force: true })
  }
}

/** The file that says how far the host's clock is from the machine's; not on its disk, which may be full. */
const clockOf = (disk) => `${disk}.clock`

class Host {
  disk
  directory
  diskMb = DISK_MB
  memoryMb = MEMORY_MB
  cgroup
  /** Events and lines of the monitor in order, and what the campaign did in between. */
  said = []
  stderr = ''
  /** @type {{ cpuBudget: number, memoryBudget: number, threadsEnded: number }[]} each start of the monitor */
  lives = []
  listening
  ended
  #child
  #port = 0
  #orders = new Map()
  #nextId = 0

  constructor(disk, procs) {
    this.disk = disk
    this.directory = join(disk, 'dumps')
    mkdirSync(this.directory, { mode: 0o700 })
    this.stepClock(0)
    if (procs) this.cgroup = memoryOf(dirname(procs))
    const joining = procs ? `echo $$ > ${procs}; ` : ''
    const flags = ['--expose-gc', `--max-old-space-size=${HEAP_LIMIT_MB}`]
    this.#child = spawn(
      'bash',
      [
        '-c',
        `${joining}ulimit -n ${DESCRIPTORS}; exec "$@"`,
        'bash',
        process.execPath,
        ...flags,
        program,
        this.directory,
      ],
      { stdio: ['ignore', 'ignore', 'pipe', 'ipc'], cwd: disk, env: { ...process.env, ...clockIn(disk) } },
    )
    this.#child.stderr.setEncoding('utf8').on('data', (text) => (this.stderr += text))
    this.ended = once(this.#child, 'close').then(([code, signal]) => {
      for (const { reject } of this.#orders.values()) reject(new Error('the host has ended'))
      return { code, signal }
    })
    this.listening = new Promise((resolve, reject) => {
      void this.ended.then(() => reject(new Error(`the host did not start: ${this.stderr}`)))
      this.#child.on('message', (message) => {
        if (message.type === 'listening') {
          this.#port = message.port
          resolve()
        } else if (message.type === 'answer') this.#answer(message)
        else this.said.push(message)
      })
    })
  }

  get pid() {
    return this.#child.pid
  }

  get hasEnded() {
    return this.#child.exitCode !== null || this.#child.signalCode !== null
  }

  /** Sets the host's wall clock to so many seconds from the machine's. Its monotonic clock goes on. */
  stepClock(seconds) {
    const file = clockOf(this.disk)
    writeFileSync(`${file}.new`, `${seconds < 0 ? '' : '+'}${seconds}`)
    renameSync(`${file}.new`, file)
  }

  /** Carries out an order in the host, and resolves with its answer. */
  async order(name, parameters = {}) {
    const id = this.#nextId++
    const answer = new Promise((resolve, reject) => this.#orders.set(id, { resolve, reject }))
    this.#child.send({ id, order: name, parameters }, () => undefined)
    return within(answer, `the answer to ${name}`)
  }

  /** Starts the monitor; each start has a budget of its own. */
  async start(options) {
    await this.order('start', options)
    this.lives.push({ ...options, threadsEnded: 0 })
  }

  threadEnded() {
    const life = this.lives.at(-1)
    if (life) life.threadsEnded++
  }

  /** Resolves when the server has answered a request. */
  async serves() {
    await within(this.#request(), 'an answer of the server')
  }

  async #request() {
    for (;;) {
      const status = await new Promise((resolve) =>
        get({ port: this.#port, host: '127.0.0.1', agent: false }, (response) => {
          response.resume()
          resolve(response.statusCode)
        }).on('error', () => resolve(0)),
      )
      if (status === 200) return
      if (this.hasEnded) throw new Error('the host has ended')
      // Without descriptors it cannot accept for a while.
      await pause(50)
    }
  }

  async end() {
    if (!this.hasEnded) this.#child.kill('SIGKILL')
    await this.ended
  }

  #answer({ id, value, error }) {
    const waiting = this.#orders.get(id)
    this.#orders.delete(id)
    if (error === undefined) waiting?.resolve(value)
    else waiting?.reject(new Error(error))
  }
}

function clockIn(disk) {
  if (FAKETIME === undefined) return {}
  return {
    LD_PRELOAD: FAKETIME,
    FAKETIME_TIMESTAMP_FILE: clockOf(disk),
    FAKETIME_NO_CACHE: '1',
    FAKETIME_DONT_FAKE_MONOTONIC: '1',
  }
}

async function within(promise, what) {
  const over = new AbortController()
  const late = pause(PATIENCE_MS, undefined, { signal: over.signal }).then(() => {
    throw new Error(`${what} did not come within ${PATIENCE_MS} ms`)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    over.abort()
    late.catch(() => undefined)
  }
}

function memoryOf(group) {
  const isV1 = existsSync(join(group, 'memory.limit_in_bytes'))
  const [limitFile, usageFile] = isV1
    ? ['memory.limit_in_bytes', 'memory.usage_in_bytes']
    : ['memory.max', 'memory.current']
  return {
    usage: () => Number(readFileSync(join(group, usageFile), 'utf8')),
    limit(bytes) {
      try {
        writeFileSync(join(group, limitFile), String(Math.floor(bytes)))
      } catch {
        // The kernel refuses a limit below what is in use.
      }
    },
  }
}
