import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'

const SAMPLE_MS = 50

export interface Run {
  readonly seconds: number
  /** The most resident memory of the process and its descendants together, as seen every 50 ms, MB of 10^6 bytes. */
  readonly peakMb: number
  /** What it has written to stdout and stderr. */
  readonly output: string
}

/** Runs Node.js to its end. @throws Error when it fails, or takes longer than that. */
export async function run(args: readonly string[], limitMs: number): Promise<Run> {
  const startedAtMs = performance.now()
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  const closed = once(child, 'close') as Promise<[number | null, string | null]>
  let output = ''
  let peakBytes = 0
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => (output += text))
  const sampling = setInterval(() => (peakBytes = Math.max(peakBytes, residentBytes(child.pid))), SAMPLE_MS)
  const limit = setTimeout(() => child.kill('SIGKILL'), limitMs)
  const [code, signal] = await closed.finally(() => {
    clearInterval(sampling)
    clearTimeout(limit)
  })
  if (code !== 0) throw new Error(`it ended with ${signal ?? code}: ${output.slice(-500)}`)
  return { seconds: (performance.now() - startedAtMs) / 1000, peakMb: peakBytes / 1e6, output }
}

function residentBytes(pid: number | undefined): number {
  if (pid === undefined) return 0
  const kib = Number(/^VmRSS:\s*(\d+)/m.exec(read(`/proc/${pid}/status`))?.[1] ?? 0)
  const children = read(`/proc/${pid}/task/${pid}/children`).split(' ').filter(Boolean)
  return kib * 1024 + children.reduce((sum, child) => sum + residentBytes(Number(child)), 0)
}

/** Nothing of a process that has just ended. */
function read(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return ''
  }
}
