import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import path from 'node:path'
import type { TestContext } from 'node:test'
import { type ChildEnd, type Forked, loadForkHelper } from '../../../../dist/capture/heap/fork/helper.js'
import { Program } from '../../../harness/program'

const PROGRAM = path.join(__dirname, 'programs/forking-server.js')

/** One line that the program says. Each kind of line has its own fields. */
export interface Line extends Partial<Forked> {
  readonly port?: number
  readonly end?: ChildEnd
  readonly result?: string
  readonly spawned?: number
  readonly marks?: number
  readonly survey?: string
  readonly refused?: string
  readonly refusals?: readonly string[]
  readonly signal?: string
}

export interface ForkingServer {
  readonly process: ChildProcess
  readonly port: number
  /** Everything on its standard error so far. */
  errorOutput(): string
  send(command: string): void
  /** The first line, past ones included, that fits. Each line is given once. */
  line(fits: (line: Line) => boolean): Promise<Line>
  /** Forks, and resolves when the child has ended. */
  forkAndWait(job: string): Promise<{ readonly end: ChildEnd; readonly result: string }>
  /** Lets it end by itself, and gives its exit code. */
  stop(): Promise<number | null>
}

/** Why tests that need the helper are skipped; `false` where they run. In CI they always run, and fail without it. */
export function whyNoHelper(): string | false {
  const loaded = loadForkHelper()
  if (!('unavailable' in loaded) || process.env.CI === 'true') return false
  const reason = `no fork helper (npm run build:native): ${loaded.unavailable}`
  console.log(reason)
  return reason
}

/** Starts the program and awaits its port. It and its directory are gone after the test. */
export async function startForkingServer(
  context: TestContext,
  environment: NodeJS.ProcessEnv = {},
  detached = false,
): Promise<ForkingServer> {
  const program = new Program(context, [process.execPath, PROGRAM], {
    env: { ...process.env, ...environment },
    detached,
  })
  const unclaimed = program.said as Line[]
  const awaitLine = (fits: (line: Line) => boolean): Promise<Line> =>
    program.until(String(fits), () => {
      const index = unclaimed.findIndex(fits)
      return index === -1 ? undefined : unclaimed.splice(index, 1)[0]
    })
  const send = (command: string): void => void program.child.stdin?.write(`${command}\n`)
  const { port } = await awaitLine((line) => line.port !== undefined)
  return {
    process: program.child,
    port: port as number,
    errorOutput: () => program.stderr,
    send,
    line: awaitLine,
    async forkAndWait(job) {
      send(`fork ${job}`)
      const { pid } = await awaitLine((line) => line.resultDescriptor !== undefined)
      const ended = await awaitLine((line) => line.end !== undefined && line.pid === pid)
      return { end: ended.end as ChildEnd, result: ended.result as string }
    },
    async stop() {
      program.child.stdin?.end()
      const [code] = (await once(program.child, 'exit')) as [number | null]
      return code
    },
  }
}
