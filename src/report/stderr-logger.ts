import { writeSync } from 'node:fs'
import type { Logger } from '../options'

const STDERR = 2

/**
 * The default logger: a line per event to stderr.
 *
 * Straight to the descriptor. `process.stderr` and every console on it report a reader that has gone as an `'error'` event
 * later, which nobody in the host listens to: the process would end because of a line of ours.
 */
export function stderrLogger(): Logger {
  const write = (line: string) => {
    try {
      writeSync(STDERR, `cpu-memory-monitor: ${line}\n`)
    } catch {
      // Closed, its reader gone, or a pipe that is full: the line is lost, the host is not.
    }
  }
  return { info: write, warn: write, error: write }
}
