import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as pause } from 'node:timers/promises'
import { loadForkHelper } from '../../../dist/capture/heap/fork/helper'

const HEAP_MB = 40
const LOOK_EVERY_MS = 100

/** Why a process that reaches its heap limit leaves no snapshot here; `undefined` where it does. */
export function whyNoEvidence(): string | undefined {
  const loaded = loadForkHelper()
  return 'helper' in loaded ? undefined : loaded.unavailable
}

/**
 * Runs the nightly job until V8 ends it.
 *
 * @param onLine - Called with the line of the monitor at the heap limit, and with V8's own.
 * @returns How it ended, such as `SIGABRT`.
 */
export async function runNightlyJob(folder: string, onLine: (line: string) => void): Promise<string> {
  const argv = [`--max-old-space-size=${HEAP_MB}`, join(__dirname, 'nightly-job.js'), folder]
  const job = spawn(process.execPath, argv, { stdio: ['ignore', 'ignore', 'pipe'] })
  createInterface({ input: job.stderr }).on('line', (line) => {
    if (/: the heap has reached|^FATAL ERROR/.test(line)) onLine(line)
  })
  const [code, signal] = (await once(job, 'close')) as [number | null, NodeJS.Signals | null]
  return signal ?? `exit code ${code}`
}

/** Resolves to the snapshot that the job's forked child writes after the job's end. */
export async function heapLimitSnapshot(folder: string): Promise<string> {
  for (;;) {
    const name = readdirSync(folder).find((each) => /^heap-limit-.*\.heapsnapshot$/.test(each))
    if (name !== undefined) return join(folder, name)
    await pause(LOOK_EVERY_MS)
  }
}
