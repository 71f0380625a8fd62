import type { EventEmitter } from 'node:events'
import { writeSync } from 'node:fs'
import { Promise } from '../base/globals'

// Calls loggers and listeners. They are code of the application: each call can throw, or return a promise that rejects.

/** Logs a line. Never throws: if the logger throws, or returns a promise that rejects, the error is ignored. */
export function say(logger: Logger, level: keyof Logger, line: string): void {
  try {
    onRejection(logger[level](oneLine(line)), () => undefined)
  } catch {
    return
  }
}

/**
 * Calls each listener of an event, even if others fail. `emitter.emit` is not used, because a listener that throws would
 * prevent the calls of later listeners, and its error would reach this library.
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

/** Calls `handle` if `result` is a promise that rejects: an unhandled rejection would end the process. */
function onRejection(result: unknown, handle: (error: unknown) => void): void {
  Promise.resolve(result).catch(handle)
}

/** Longest log line, characters. The error message of a server, for example, can be of any length. */
const MOST_CHARACTERS = 8000
/** Control and format characters except the tab: they can change the state of a terminal. Error messages can contain them. */
const OBEYED = /(?!\t)[\p{Cc}\p{Cf}]/gu

/** Turns a text into one log line: joins its lines, replaces control characters by `?`, and cuts it to 8000 characters. */
function oneLine(text: string): string {
  const start = text.slice(0, 2 * MOST_CHARACTERS)
  // Each run of white space is matched once, and the function then looks for a line break in it. If the expression contained the
  // line break, V8 would search the rest of a run again from each of its characters, in quadratic time.
  const line = start.replace(/\s+/g, (blanks) => (/[\r\n]/.test(blanks) ? ' ' : blanks)).replace(OBEYED, '?')
  return line.length > MOST_CHARACTERS ? `${line.slice(0, MOST_CHARACTERS)}…` : line
}

/** Receives the library's log lines. Console, pino, winston and most others can be passed as they are. */
export interface Logger {
  info(line: string): void
  warn(line: string): void
  error(line: string): void
}

const STDERR = 2

/**
 * Creates the default logger, which writes a line per event to stderr.
 *
 * It writes to the file descriptor instead of `process.stderr`. When the reader of a pipe has gone, `process.stderr` emits
 * `'error'`, and without a listener for that event a log line of this library would end the process.
 */
export function stderrLogger(): Logger {
  const write = (line: string) => {
    try {
      writeSync(STDERR, `cpu-memory-monitor: ${line}\n`)
    } catch {
      // stderr is closed, has no reader any more, or is a full non-blocking pipe: only the line is lost. A full blocking
      // pipe does not get here: it blocks the application, as with `console.error`.
    }
  }
  return { info: write, warn: write, error: write }
}
