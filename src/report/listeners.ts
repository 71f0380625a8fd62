import type { EventEmitter } from 'node:events'
import { writeSync } from 'node:fs'
import { Promise } from '../base/globals'

// Loggers and listeners are the host's code: each can throw anything, reject, or return anything.

/** Logs a line. Never throws and never rejects: a failing logger is ignored. */
export function say(logger: Logger, level: keyof Logger, line: string): void {
  try {
    onRejection(logger[level](oneLine(line)), () => undefined)
  } catch {
    return
  }
}

/**
 * Calls each listener, whatever the others do. Not `emitter.emit`: there, a listener that throws keeps the later ones from being called, and throws
 * into this library.
 *
 * @param onFailed - Called with the error or rejection of a listener. Must not throw.
 */
export function callListeners<Events extends Record<keyof Events, unknown[]>>(
  emitter: EventEmitter<Events>,
  name: keyof Events & string,
  payload: unknown,
  onFailed: (error: unknown) => void,
): void {
  for (const listener of (emitter as EventEmitter).rawListeners(name)) {
    try {
      onRejection(Reflect.apply(listener, emitter, [payload]), onFailed)
    } catch (error) {
      onFailed(error)
    }
  }
}

/** An unhandled rejection would end the host. */
function onRejection(result: unknown, handle: (error: unknown) => void): void {
  Promise.resolve(result).catch(handle)
}

/** One line per event, whatever messages and paths contain. */
function oneLine(text: string): string {
  return text.replace(/\s*[\r\n]+\s*/g, ' ')
}

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
