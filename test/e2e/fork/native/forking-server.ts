import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { createInterface } from 'node:readline'
import type { TestContext } from 'node:test'
import { loadForkHelper, type ChildEnd, type Forked } from '../../../../dist/capture/heap/fork/helper.js'

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
  const program = spawn(process.execPath, [PROGRAM], {
    env: { ...process.env, ...environment },
    stdio: ['pipe', 'pipe', 'pipe'],
    detached,
  })
  context.after(() => program.kill('SIGKILL'))
  let errorOutput = ''
  program.stderr.setEncoding('utf8').on('data', (text: string) => (errorOutput += text))

  const unclaimed: Line[] = []
  const waiting: { fits: (line: Line) => boolean; give: (line: Line) => void }[] = []
  createInterface({ input: program.stdout }).on('line', (text) => {
    const line = JSON.parse(text) as Line
    const index = waiting.findIndex(({ fits }) => fits(line))
    if (index === -1) unclaimed.push(line)
    else waiting.splice(index, 1)[0]?.give(line)
  })

  const awaitLine = (fits: (line: Line) => boolean): Promise<Line> => {
    const index = unclaimed.findIndex(fits)
    if (index !== -1) return Promise.resolve(unclaimed.splice(index, 1)[0] as Line)
    return new Promise((give) => waiting.push({ fits, give }))
  }
  const send = (command: string): void => void program.stdin.write(`${command}\n`)
  const { port } = await awaitLine((line) => line.port !== undefined)
  return {
    process: program,
    port: port as number,
    errorOutput: () => errorOutput,
    send,
    line: awaitLine,
    async forkAndWait(job) {
      send(`fork ${job}`)
      const { pid } = await awaitLine((line) => line.resultDescriptor !== undefined)
      const ended = await awaitLine((line) => line.end !== undefined && line.pid === pid)
      return { end: ended.end as ChildEnd, result: ended.result as string }
    },
    async stop() {
      program.stdin.end()
      const [code] = (await once(program, 'exit')) as [number | null]
      return code
    },
  }
}

/** A directory that is gone after the test. */
export function temporaryDirectory(context: TestContext): string {
  const directory = mkdtempSync(path.join(tmpdir(), 'fork-helper-'))
  context.after(() => rmSync(directory, { recursive: true, force: true }))
  return directory
}
