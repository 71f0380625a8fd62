import { writeSync } from 'node:fs'
import type { Logger } from '../monitor/options'

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
      // Closed, its reader gone, or full and not to be waited for: the line is lost, the host is not. A pipe that blocks and whose
      // reader stands still holds the host up, as it would by `console.error`.
    }
  }
  return { info: write, warn: write, error: write }
}
