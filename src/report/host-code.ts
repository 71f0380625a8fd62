// Loggers, listeners and what they throw are the host's, and anything is to be expected of them.

import type { EventEmitter } from 'node:events'
import type { Logger } from '../options'
import { Promise } from '../time/globals'

/** Never throws and never rejects: a logger that fails is left alone. */
export function say(logger: Logger, level: keyof Logger, line: string): void {
  try {
    onRejection(logger[level](oneLine(line)), () => undefined)
  } catch {
    return
  }
}

/**
 * Calls each listener whatever the others do. Not `emitter.emit`: there the first that throws silences those behind it, and takes
 * us along.
 *
 * @param onFailed - Told what a listener throws or rejects with. Must not throw.
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

/** Anything can be thrown, also what refuses to become a string. */
export function inWords(error: unknown): string {
  try {
    return String(error instanceof Error ? error.message : error)
  } catch {
    return `it threw ${typeof error === 'object' ? 'an object' : `a ${typeof error}`} that cannot be told in words`
  }
}

/** One line per event, whatever stands in messages and paths. */
function oneLine(text: string): string {
  return text.replace(/\s*[\r\n]+\s*/g, ' ')
}
