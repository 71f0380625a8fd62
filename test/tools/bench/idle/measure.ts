import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Variant } from './variants'

const REGISTER = `${__dirname}/../../../../dist/register.js`
const SERVER_CORE = 0
const LOAD_CORE = 1
/** Until V8 has compiled what is called often. */
const WARM_UP_SECONDS = 5
const CAPACITY_SECONDS = 4
const START_MS = 30_000
/** An order of the load takes its seconds and not much longer. */
const GRACE_MS = 10_000

export const SHARES = [30, 80] as const
export type Share = (typeof SHARES)[number]

/** Answers of one window, as the load has seen them. */
interface Answers {
  readonly ok: number
  readonly failed: number
  readonly perSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly p999Ms: number
}

export interface Window extends Answers {
  readonly cpuUsPerRequest: number
}

export interface Turn {
  readonly windows: Readonly<Record<Share, Window>>
  readonly capacity: number
  readonly rssMb: number
}

interface Usage {
  readonly cpuUs: number
  readonly rssBytes: number
}

/** Whether server and load have a core each. Else their figures depend on each other. */
export function canPin(): boolean {
  return availableParallelism() > LOAD_CORE && spawnSync('taskset', ['--version']).status === 0
}

const running = new Set<ChildProcess>()
process.once('exit', () => running.forEach((child) => child.kill('SIGKILL')))

/** The processes that stay for a whole run. */
export class Bench {
  readonly #load = spawnOn(LOAD_CORE, [`${__dirname}/load.cjs`], process.env)
  readonly #directory = mkdtempSync(join(tmpdir(), 'bench-idle-'))
  readonly #collector = createServer((request, response) => {
    request.resume().on('end', () => response.end('{}'))
  })
  readonly #seconds: number

  constructor(seconds: number) {
    this.#seconds = seconds
  }

  async start(): Promise<void> {
    await once(this.#collector.listen(0, '127.0.0.1'), 'listening')
  }

  /** Requests per second of a variant that is asked as fast as it answers. */
  async capacity(variant: Variant, modules: string): Promise<number> {
    return await this.#withServer(variant, modules, async (port) => {
      await this.#ask({ port, seconds: WARM_UP_SECONDS })
      return (await this.#ask({ port, seconds: CAPACITY_SECONDS })).perSecond
    })
  }

  /** Both windows of a variant, in a fresh process. */
  async turn(variant: Variant, modules: string, capacity: number): Promise<Turn> {
    return await this.#withServer(variant, modules, async (port, usage) => {
      await this.#ask({ port, rate: 0.8 * capacity, seconds: WARM_UP_SECONDS })
      const own = await this.#ask({ port, seconds: CAPACITY_SECONDS })
      const window = async (share: Share): Promise<Window> => {
        const before = await usage()
        const answers = await this.#ask({ port, rate: (share / 100) * capacity, seconds: this.#seconds })
        return { ...answers, cpuUsPerRequest: ((await usage()).cpuUs - before.cpuUs) / answers.ok }
      }
      const windows = { 30: await window(30), 80: await window(80) }
      return { windows, capacity: own.perSecond, rssMb: (await usage()).rssBytes / 2 ** 20 }
    })
  }

  async end(): Promise<void> {
    this.#collector.close()
    this.#collector.closeAllConnections()
    await ended(this.#load)
    rmSync(this.#directory, { recursive: true, force: true })
  }

  async #withServer<Result>(
    { setup, register }: Variant,
    modules: string,
    follow: (port: number, usage: () => Promise<Usage>) => Promise<Result>,
  ): Promise<Result> {
    const collector = `http://127.0.0.1:${(this.#collector.address() as AddressInfo).port}`
    const program = [`${__dirname}/server.cjs`, setup, modules, collector, String(this.#seconds * 1000)]
    const env = { ...environment(), CMM_PROFILE_DIR: this.#directory, ...register }
    const server = spawnOn(SERVER_CORE, register ? ['--require', REGISTER, ...program] : program, env)
    try {
      const { port } = (await answerOf(server, START_MS)) as { port: number }
      return await follow(port, async () => {
        server.send('usage')
        return (await answerOf(server, START_MS)) as Usage
      })
    } finally {
      await ended(server)
    }
  }

  async #ask(order: { port: number; rate?: number; seconds: number }): Promise<Answers> {
    this.#load.send(order)
    return (await answerOf(this.#load, order.seconds * 1000 + GRACE_MS)) as Answers
  }
}

/** Options of Node and of a monitor that come from outside would change what is compared. */
function environment(): NodeJS.ProcessEnv {
  const inherited = Object.entries(process.env).filter(([name]) => !/^(CMM_|NODE_OPTIONS$)/.test(name))
  return Object.fromEntries(inherited)
}

function spawnOn(core: number, args: readonly string[], env: NodeJS.ProcessEnv): ChildProcess {
  const [command, ...before] = canPin()
    ? ['taskset', '-c', String(core), process.execPath]
    : [process.execPath]
  const child = spawn(command ?? process.execPath, [...before, ...args], {
    env,
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  })
  running.add(child)
  child.once('exit', () => running.delete(child))
  return child
}

async function answerOf(child: ChildProcess, withinMs: number): Promise<unknown> {
  const over = new AbortController()
  const died = once(child, 'exit', { signal: over.signal }).then(([code, signal]) => {
    throw new Error(`it ended with ${String(signal ?? code)}`)
  })
  const late = AbortSignal.timeout(withinMs)
  try {
    const [message] = (await Promise.race([once(child, 'message', { signal: late }), died])) as [unknown]
    return message
  } finally {
    died.catch(() => {})
    over.abort()
  }
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exit = once(child, 'exit')
  child.kill('SIGKILL')
  await exit
}
