import type { ChildProcess } from 'node:child_process'
import { fork } from 'node:child_process'
import { freemem } from 'node:os'
import { basename, join } from 'node:path'
import type { Input } from '../input'
import { UnreadableError } from '../json'
import type { Part } from '../model'
import { formatBytes } from '../units'
import { checkSnapshots } from './content'
import type { Answer, Message } from './messages'

/** Memory that the child process needs for any snapshot, however small, bytes. */
const BASE_BYTES = 150_000_000
/** Memory that it needs in addition, bytes per byte of the snapshot. Measured: a snapshot of 65 MB took 370 MB in all. */
const FACTOR = 5
/** Share of the child's memory, 0 to 1, that lies in V8's heap. The rest is in typed arrays, outside of the heap. */
const HEAP_SHARE = 0.75
const LEAST_HEAP_BYTES = 512 * 1024 * 1024
/**
 * A child that sends no message for this time is killed, ms. The longest step for a 600 MB snapshot takes 20 s on two busy
 * cores.
 */
const SILENCE_MS = 300_000
const KEPT_STDERR = 4096

export interface AnalysisOptions {
  readonly sourceMaps?: string
  readonly onProgress: (text: string) => void
  readonly availableBytes?: number
}

export interface Analysis {
  readonly result: Promise<{ readonly parts: readonly Part[]; readonly notes: readonly string[] }>
  /** Ends the child process. */
  cancel(): void
}

/**
 * Analyses snapshots in a child process with its own heap limit.
 *
 * @throws UnreadableError before the child is started, if there is too little memory.
 */
export function analyseInChild(inputs: readonly Input[], options: AnalysisOptions): Analysis {
  const largest = Math.max(...inputs.map(({ sizeBytes }) => sizeBytes))
  const needBytes = memoryNeed(largest)
  const availableBytes = options.availableBytes ?? availableMemory()
  if (needBytes > availableBytes) {
    throw new UnreadableError(
      `${inputs.map(({ path }) => path).join(' and ')} cannot be analysed: that takes about ${formatBytes(needBytes)} of memory, ` +
        `but only ${formatBytes(availableBytes)} are available`,
    )
  }
  const heapMib = Math.ceil(Math.max(LEAST_HEAP_BYTES, needBytes * HEAP_SHARE) / (1024 * 1024))
  const child = fork(join(__dirname, 'snapshot-child.js'), [], {
    execArgv: [`--max-old-space-size=${heapMib}`],
    // Emptied, because NODE_OPTIONS may preload an application's code.
    env: { ...process.env, NODE_OPTIONS: '' },
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  })
  const send = (message: Message): void => void (child.connected && child.send(message))
  const { sourceMaps } = options
  send({ type: 'question', inputs, ...(sourceMaps !== undefined && { sourceMaps }) })
  const result = resultOf(child, inputs, heapMib, options.onProgress)
  return {
    result: checkMeanwhile(checkSnapshots(inputs), result, {
      passed: () => send({ type: 'checked' }),
      failed: () => child.kill('SIGKILL'),
    }),
    cancel: () => void child.kill('SIGKILL'),
  }
}

/** Checks the files while the child loads them. A failed check is reported instead of the child's error, because it says more. */
async function checkMeanwhile(
  check: Promise<void>,
  result: Analysis['result'],
  { passed, failed }: { readonly passed: () => void; readonly failed: () => void },
): Analysis['result'] {
  // Prevents an unhandled rejection: the result is returned only when the check has ended.
  result.catch(() => undefined)
  try {
    await check
  } catch (error) {
    failed()
    throw error
  }
  passed()
  return result
}

/** Estimated memory of the analysis of a snapshot, bytes. */
function memoryNeed(snapshotBytes: number): number {
  return BASE_BYTES + FACTOR * snapshotBytes
}

/** Memory that this process may still use, bytes. Its cgroup's limit counts only if Node.js has `process.availableMemory`. */
function availableMemory(): number {
  const { availableMemory: read } = process as { availableMemory?: () => number }
  return read?.() ?? freemem()
}

function resultOf(
  child: ChildProcess,
  inputs: readonly Input[],
  heapMib: number,
  onProgress: (text: string) => void,
): Analysis['result'] {
  return new Promise((resolve, reject) => {
    let stderr = ''
    let timer = watch()
    child.stderr?.on('data', (chunk: Buffer) => (stderr = (stderr + chunk.toString()).slice(-KEPT_STDERR)))
    child.on('message', (answer: Answer) => {
      clearTimeout(timer)
      if (answer.type === 'progress') {
        timer = watch()
        onProgress(answer.text)
        return
      }
      if (answer.type === 'result') resolve(answer)
      else reject(failureOf(answer))
      child.disconnect()
    })
    child.on('error', (error) => reject(error))
    child.on('exit', (code, signal) => {
      clearTimeout(timer)
      const file = inputs.map(({ path }) => basename(path)).join(' and ')
      reject(new UnreadableError(endOf(file, code, signal, stderr, heapMib)))
    })

    function watch(): NodeJS.Timeout {
      return setTimeout(() => {
        child.kill('SIGKILL')
        reject(
          new UnreadableError(
            `the analysis was ended, because it made no progress for ${SILENCE_MS / 1000} s`,
          ),
        )
      }, SILENCE_MS)
    }
  })
}

function failureOf({ message, isExpected }: Extract<Answer, { type: 'failure' }>): Error {
  return isExpected ? new UnreadableError(message) : new Error(`the analysis failed: ${message}`)
}

function endOf(
  file: string,
  code: number | null,
  signal: string | null,
  stderr: string,
  heapMib: number,
): string {
  if (/heap out of memory|allocation failed/i.test(stderr)) {
    return `${file} cannot be analysed: the analysis reached its heap limit of ${heapMib} MiB`
  }
  const how = signal === null ? `with exit code ${code}` : `by ${signal}`
  const why = signal === 'SIGKILL' ? '; the system may have run out of memory' : ''
  return `${file} cannot be analysed: the analysis ended ${how}${why}`
}
