import { Console } from 'node:console'
import type { Logger } from '../options'

/**
 * The default logger: a line per event to stderr.
 *
 * A `Console` of our own, not the global one that applications patch; like that one it swallows write errors, so a
 * closed stderr cannot end the host. Made with the first line: reaching for `process.stderr` has side effects.
 */
export function stderrLogger(): Logger {
  let out: Console | undefined
  const write = (line: string) => {
    out ??= new Console({ stdout: process.stderr, stderr: process.stderr, ignoreErrors: true })
    out.error(`cpu-memory-monitor: ${line}`)
  }
  return { info: write, warn: write, error: write }
}
