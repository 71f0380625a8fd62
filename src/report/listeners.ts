import type { EventEmitter } from 'node:events'
import { writeSync } from 'node:fs'
import { Promise } from '../base/globals'

// Loggers and listeners are code of the application: each can throw anything, reject, or return anything.

/** Logs a line. Never throws and never rejects: a failing logger is ignored. */
export function say(logger: Logger, level: keyof Logger, line: string): void {
  try {
    onRejection(logger[level](oneLine(line)), () => undefined)
  } catch {
    return
  }
}

/**
 * Calls each listener, even if others fail. Not `emitter.emit`: there, a listener that throws prevents the calls of the
 * later ones, and throws into this library.
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

/** Handles a rejection: unhandled, it would end the process. */
function onRejection(result: unknown, handle: (error: unknown) => void): void {
  Promise.resolve(result).catch(handle)
}

/** Longest log line, characters. A server's error can be of any length. */
const MOST_CHARACTERS = 8000
/** Characters that a terminal obeys instead of showing them: a server's error or a file name can hold them. */
const OBEYED = /(?!\t)[\p{Cc}\p{Cf}]/gu

/** Joins the lines of a text, since messages and paths can contain line breaks: each event is one log line. */
function oneLine(text: string): string {
  const start = text.slice(0, 2 * MOST_CHARACTERS)
  const line = start.replace(/\s*[\r\n]+\s*/g, ' ').replace(OBEYED, '?')
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
 * The default logger: a line per event to stderr.
 *
 * It writes to the descriptor. When the reader of stderr has gone, `process.stderr` and every console on it emit an
 * `'error'` event later. If the application does not listen to that event, a line of this library would end the
 * process.
 */
export function stderrLogger(): Logger {
  const write = (line: string) => {
    try {
      writeSync(STDERR, `cpu-memory-monitor: ${line}\n`)
    } catch {
      // The descriptor is closed, its reader has gone, or it is full and does not block: only the line is lost. A
      // blocking pipe that is not read blocks the application, as it does with `console.error`.
    }
  }
  return { info: write, warn: write, error: write }
}
