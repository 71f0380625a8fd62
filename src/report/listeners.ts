// Loggers and listeners are the host's code: each can throw anything, reject, or return anything.

import type { EventEmitter } from 'node:events'
import { Promise } from '../base/globals'
import type { Logger } from './logger'

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
