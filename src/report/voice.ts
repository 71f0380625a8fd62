import type { EventEmitter } from 'node:events'
import type { Dump, Failure, Leak, Report, Skip } from '../dispatch/events'
import type { Logger } from '../options'
import { callListeners, inWords, say } from './host-code'
import { ownOnly } from '../time/globals'
import { lines } from './lines'
import { stderrLogger } from './stderr-logger'

/** The events of a monitor and their payloads. */
export interface MonitorEvents {
  /** Evidence is on disk. */
  dump: [dump: Dump]
  /** A dump was asked for and not made. */
  skip: [skip: Skip]
  /** The heap left over after full collections keeps growing. */
  leak: [leak: Leak]
  /** Something of the monitor's own did not work; monitoring goes on. */
  failure: [failure: Failure]
}

/**
 * Turns what happens into events and lines, and stands between the host's code and ours: a listener that throws or
 * rejects becomes one `failure`, a logger that does is left alone.
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

  skip(skip: Skip): void {
    this.#say('warn', lines.skip(skip))
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

  /** Something to be read once. */
  notice(line: string): void {
    this.#say('warn', line)
  }

  info(line: string): void {
    this.#say('info', line)
  }

  #emit<Name extends keyof MonitorEvents>(name: Name, payload: MonitorEvents[Name][0]): void {
    callListeners(this.#emitter, name, payload, (error) => this.#listenerFailed(name, error))
  }

  /** A failure listener that fails is only told to the log: as an event it would come round for ever. */
  #listenerFailed(name: keyof MonitorEvents, error: unknown): void {
    const message = `a listener of '${name}': ${inWords(error)}`
    if (name === 'failure') this.#say('error', lines.failure({ stage: 'listener', message }))
    else this.failure({ stage: 'listener', message, error })
  }

  #say(level: keyof Logger, line: string): void {
    if (this.#logger) say(this.#logger, level, line)
  }
}
