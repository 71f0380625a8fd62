import type * as diagnosticsChannel from 'node:diagnostics_channel'
import type { Channel } from 'node:diagnostics_channel'
import type { EventEmitter } from 'node:events'
import { messageOf, ownOnly, Promise } from '../base/globals'
import type { Dump, Failure, Leak, Reading, Report, Skip } from '../dispatch/events'
import { lines } from '../report/lines'
import { callListeners, type Logger, say, stderrLogger } from '../report/listeners'
import { DumpHook, type OnDump } from '../report/on-dump'
import { Tally } from './tally'

/** The events of a monitor and their payloads. */
export interface MonitorEvents {
  /** The files of a dump are complete and on disk. */
  dump: [dump: Dump]
  /** A dump was requested and not made. */
  skip: [skip: Skip]
  /** The heap that remains after full garbage collections keeps growing. */
  leak: [leak: Leak]
  /** A part of the monitor failed; monitoring continues. */
  failure: [failure: Failure]
  /** A reading was taken. Emitted only while this event has a listener, from about a second after the listener was added. */
  reading: [reading: Reading]
}

const EVENTS = ['reading', 'dump', 'skip', 'leak', 'failure'] as const

/** Largest number of log lines that are held back until the first dump or problem. Further lines are dropped. */
const MAX_HELD = 20

/**
 * Turns the results of the monitor into events and log lines. Contains errors of the application's code: a listener that throws
 * or rejects is reported as one `failure`, but a failing listener of `failure` is only logged. A failing logger is ignored.
 */
export class Voice implements Report {
  readonly #emitter: EventEmitter<MonitorEvents>
  readonly #logger: Logger | false
  readonly #channels: Readonly<Record<keyof MonitorEvents, Channel>>
  readonly #hook: DumpHook<Dump> | undefined
  readonly tally = new Tally()
  /** Log lines that are held back until the first dump or problem. `undefined`: lines are logged at once. */
  #held: [level: keyof Logger, line: string][] | undefined

  /**
   * @param logger - Receives the log lines. `undefined`: they are written to stderr. `false`: nothing is logged.
   * @param isHoldingBack - Whether log lines, such as the one at start, are held back until the first dump or problem.
   */
  constructor(
    emitter: EventEmitter<MonitorEvents>,
    logger: Logger | false | undefined,
    isHoldingBack = false,
    onDump?: OnDump<Dump>,
  ) {
    this.#emitter = emitter
    this.#logger = logger ?? stderrLogger()
    if (isHoldingBack) this.#held = []
    this.#channels = openChannels()
    this.#hook =
      onDump &&
      new DumpHook(onDump, (error) => this.failure({ stage: 'onDump', message: messageOf(error), error }))
  }

  dump(dump: Dump): void {
    this.#release()
    this.#say('warn', lines.dump(ownOnly(dump)))
    this.#emit('dump', dump)
    this.#hook?.call(dump)
  }

  reading(reading: Reading): void {
    this.#emit('reading', reading)
  }

  /** Whether the event `'reading'`, or its diagnostics channel, has a listener. */
  wantsReadings(): boolean {
    return this.#emitter.listenerCount('reading') > 0 || this.#channels.reading.hasSubscribers
  }

  /** Called at the monitor's start. If this package made the option `onDump` (as `uploadTo()` does), starts its work. */
  beginHook(directories: readonly string[]): void {
    const report = {
      info: (line: string) => this.info(line),
      failure: (failure: Failure) => this.failure(failure),
    }
    this.#hook?.begin({ directories, report })
  }

  endHook(): void {
    this.#hook?.end()
  }

  /** Resolves when all calls of `onDump` have settled or are past their deadline. */
  hooksSettled(): Promise<void> {
    return this.#hook?.settled() ?? Promise.resolve()
  }

  /** Reports a skipped dump. The reason `stopped` is no problem: the line has the level `info`, and held-back lines stay so. */
  skip(skip: Skip): void {
    if (skip.reason !== 'stopped') this.#release()
    this.#say(skip.reason === 'stopped' ? 'info' : 'warn', lines.skip(ownOnly(skip)))
    this.#emit('skip', skip)
  }

  leak(leak: Leak): void {
    this.#release()
    this.#say('warn', lines.leak(leak))
    this.#emit('leak', leak)
  }

  failure(failure: Failure): void {
    this.#release()
    this.#say('error', lines.failure(ownOnly(failure)))
    this.#emit('failure', failure)
  }

  /** Logs a line for the operator, with the level `warn`. */
  notice(line: string): void {
    this.#say('warn', line)
  }

  info(line: string): void {
    this.#say('info', line)
  }

  #emit<Name extends keyof MonitorEvents>(name: Name, payload: MonitorEvents[Name][0]): void {
    this.tally.count(name, payload)
    const channel = this.#channels[name]
    if (channel.hasSubscribers) channel.publish(payload)
    callListeners(this.#emitter, name, payload, (error) => this.#listenerFailed(name, error))
  }

  /** Reports a failed listener. The failure of a `failure` listener is only logged: an event would call it again without end. */
  #listenerFailed(name: keyof MonitorEvents, error: unknown): void {
    const message = `a listener of '${name}': ${messageOf(error)}`
    if (name === 'failure') this.#say('error', lines.failure({ stage: 'listener', message }))
    else this.failure({ stage: 'listener', message, error })
  }

  #say(level: keyof Logger, line: string): void {
    if (this.#held) void (this.#held.length < MAX_HELD && this.#held.push([level, line]))
    else if (this.#logger) say(this.#logger, level, line)
  }

  #release(): void {
    const held = this.#held
    this.#held = undefined
    for (const [level, line] of held ?? []) this.#say(level, line)
  }
}

/** Returns the diagnostics channels, such as `cpu-memory-monitor:dump`, for tools without access to the monitor object. */
function openChannels(): Readonly<Record<keyof MonitorEvents, Channel>> {
  const { channel } = require('node:diagnostics_channel') as typeof diagnosticsChannel
  const channels = EVENTS.map((name) => [name, channel(`cpu-memory-monitor:${name}`)] as const)
  return Object.fromEntries(channels) as Record<keyof MonitorEvents, Channel>
}
