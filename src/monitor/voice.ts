import type * as diagnosticsChannel from 'node:diagnostics_channel'
import type { Channel } from 'node:diagnostics_channel'
import type { EventEmitter } from 'node:events'
import { messageOf } from '../base/error-text'
import { ownOnly, Promise } from '../base/globals'
import type { Dump, Failure, Leak, Reading, Report, Skip } from '../dispatch/events'
import { lines } from '../report/lines'
import { callListeners, say } from '../report/listeners'
import { type Logger, stderrLogger } from '../report/logger'
import { DumpHook, type OnDump } from '../report/on-dump'
import { Tally } from './tally'

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
  /** A reading was taken. It is reported within a second of the first subscription. */
  reading: [reading: Reading]
}

const EVENTS = ['reading', 'dump', 'skip', 'leak', 'failure'] as const

/** Most lines of a start that are held back. */
const MAX_HELD = 20

/**
 * Turns outcomes into events and lines, and keeps the host's code apart from ours: a listener that throws or rejects becomes
 * one `failure`, a logger that does is ignored.
 */
export class Voice implements Report {
  readonly #emitter: EventEmitter<MonitorEvents>
  readonly #logger: Logger | false
  readonly #channels: Readonly<Record<keyof MonitorEvents, Channel>>
  readonly #hook: DumpHook<Dump> | undefined
  readonly tally = new Tally()
  /** Lines of the start that are held back. */
  #held: [level: keyof Logger, line: string][] | undefined

  /**
   * @param logger - `undefined`: a line per event to stderr.
   * @param isHoldingBack - Logs start line and warnings only when an event follows them.
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

  /** Whether an event or channel of readings has a listener. */
  wantsReadings(): boolean {
    return this.#emitter.listenerCount('reading') > 0 || this.#channels.reading.hasSubscribers
  }

  /** The monitor has started. */
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

  /** Resolves when the calls of `onDump` are over. */
  hooksSettled(): Promise<void> {
    return this.#hook?.settled() ?? Promise.resolve()
  }

  /** A dump that the end of the monitor or of the process prevents is no trouble. */
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

  /** A line that the operator should read once. */
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

  /** The failure of a `failure` listener only goes to the log: as an event it would never end. */
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

/** For tools that know the process but not the monitor: `cpu-memory-monitor:dump` and its like. */
function openChannels(): Readonly<Record<keyof MonitorEvents, Channel>> {
  const { channel } = require('node:diagnostics_channel') as typeof diagnosticsChannel
  const channels = EVENTS.map((name) => [name, channel(`cpu-memory-monitor:${name}`)] as const)
  return Object.fromEntries(channels) as Record<keyof MonitorEvents, Channel>
}
