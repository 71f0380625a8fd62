import type { EventEmitter } from 'node:events'
import type { Dump, Failure, Leak, Report, Skip } from '../dispatch/events'
import { ownOnly } from '../base/globals'
import { callListeners, inWords, say } from '../report/listeners'
import { stderrLogger, type Logger } from '../report/logger'
import { lines } from '../report/lines'

/** The events of a monitor and their payloads. */
export interface MonitorEvents {
  /** A dump is on disk. */
  dump: [dump: Dump]
  /** A dump was requested and not made. */
  skip: [skip: Skip]
  /** The heap that is left after full collections keeps growing. */
  leak: [leak: Leak]
  /** A part of the monitor failed; monitoring continues. */
  failure: [failure: Failure]
}

/**
 * Turns outcomes into events and lines, and keeps the host's code apart from ours: a listener that throws or rejects becomes
 * one `failure`, a logger that does is ignored.
 */
export class Voice implements Report {
  readonly #emitter: EventEmitter<MonitorEvents>
  readonly #logger: Logger | false

  /** @param logger - `undefined`: a line per event to stderr. */
  constructor(emitter: EventEmitter<MonitorEvents>, logger: Logger | false | undefined) {
    this.#emitter = emitter
    this.#logger = logger ?? stderrLogger()
  }

  dump(dump: Dump): void {
    this.#say('warn', lines.dump(ownOnly(dump)))
    this.#emit('dump', dump)
  }

  /** A dump that the end of the monitor or of the process prevents is no trouble. */
  skip(skip: Skip): void {
    this.#say(skip.reason === 'stopped' ? 'info' : 'warn', lines.skip(ownOnly(skip)))
    this.#emit('skip', skip)
  }

  leak(leak: Leak): void {
    this.#say('warn', lines.leak(leak))
    this.#emit('leak', leak)
  }

  failure(failure: Failure): void {
    this.#say('error', lines.failure(ownOnly(failure)))
    this.#emit('failure', failure)
  }

  /** A line that the operator should read once. */
  notice(line: string): void {
    this.#say('warn', line)
  }

  info(line: string): void {
    this.#say('info', line)
  }

  #emit<Name extends keyof MonitorEvents>(name: Name, payload: MonitorEvents[Name][0]): void {
    callListeners(this.#emitter, name, payload, (error) => this.#listenerFailed(name, error))
  }

  /** The failure of a `failure` listener only goes to the log: as an event it would never end. */
  #listenerFailed(name: keyof MonitorEvents, error: unknown): void {
    const message = `a listener of '${name}': ${inWords(error)}`
    if (name === 'failure') this.#say('error', lines.failure({ stage: 'listener', message }))
    else this.failure({ stage: 'listener', message, error })
  }

  #say(level: keyof Logger, line: string): void {
    if (this.#logger) say(this.#logger, level, line)
  }
}
