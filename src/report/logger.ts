import { writeSync } from 'node:fs'

/** Where the library writes its lines. Console, pino, winston and most others fit as they are. */
export interface Logger {
  info(line: string): void
  warn(line: string): void
  error(line: string): void
}

const STDERR = 2

/**
 * The default logger: a line per event to stderr.
 *
 * It writes to the descriptor. `process.stderr` and every console on it report a reader that has gone as an `'error'` event
 * later. The host does not listen to that event, so the process would end because of a line of this library.
 */
export function stderrLogger(): Logger {
  const write = (line: string) => {
    try {
      writeSync(STDERR, `cpu-memory-monitor: ${line}\n`)
    } catch {
      // The descriptor is closed, its reader has gone, or it is full and does not block: the line is lost, the host is not. A
      // blocking pipe whose reader stands still holds the host up, as it does with `console.error`.
    }
  }
  return { info: write, warn: write, error: write }
}
