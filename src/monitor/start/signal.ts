import { readFileSync } from 'node:fs'
import { constants } from 'node:os'
import { messageOf } from '../../base/globals'

/** Maximum number of unfinished dumps that signals have requested: one runs and one waits. Further signals are dropped. */
export const MAX_SIGNAL_DUMPS = 2

/** Parameters of {@link watchSignal}. */
export interface SignalWatchParts {
  readonly signal: NodeJS.Signals
  /** Receives a log line for the operator. */
  readonly notice: (line: string) => void
}

/** The listener for the signal that triggers a heap snapshot. */
export interface SignalWatch {
  /**
   * From this call on, the signal triggers a dump. If it has arrived before, this call triggers one.
   *
   * @param onSignal - Makes a dump. Called for each signal that this monitor handles. Must not reject.
   * @param isHeapdumpListening - Returns whether the package heapdump handles SIGUSR2. Its native handler is not among the
   * listeners of `process`.
   */
  serve(onSignal: () => Promise<unknown>, isHeapdumpListening: () => boolean): void
  /** From this call on, the signal has no effect: no dump is made, and the process does not end. */
  ignore(): void
  /** Removes the listener. The signal then has its default effect again, which for SIGUSR2 is to end the process. */
  stop(): void
}

/**
 * Key of a property by which all copies of this package recognise the signal listeners of monitors. Its value is `true` while the
 * listener handles signals, and `false` while the listener only keeps the signal from ending the process.
 */
const OURS = Symbol.for('cpu-memory-monitor:signal-listener')

/**
 * Listens for the signal that triggers a heap snapshot. From this call on the signal does not end the process.
 *
 * Other code may use the same signal: nodemon, recluster and close-with-grace use SIGUSR2. The application usually adds its
 * handlers after the monitor has started. So the monitor's listener checks at each signal whether other code listens for it too.
 * If so, the monitor makes no dump, and logs this once. If several monitors in the process listen, the oldest handles the signal
 * until it stops.
 *
 * A signal is dropped while one dump runs and another waits ({@link MAX_SIGNAL_DUMPS}): the waiting dump also answers that
 * signal, and a flood of signals costs no memory.
 */
export function watchSignal({ signal, notice }: SignalWatchParts): SignalWatch {
  if (isTakenNatively(signal)) {
    notice(
      `${signal} has a native handler in this process (heapdump installs one), so the signal triggers no dump of this monitor`,
    )
    return NO_WATCH
  }
  let hasSteppedAside = false
  let dumps = 0
  let order = (): Promise<unknown> => Promise.resolve()
  let isHeapdumpListening = (): boolean => false
  /** Whether the signal has arrived before `serve`: the event loop may deliver it before the rest of the monitor has started. */
  let isWaiting = false
  const listener = () => {
    if (dumps >= MAX_SIGNAL_DUMPS) return
    const listeners = process.listeners(signal)
    const first = listeners.find(takesSignals)
    isWaiting ||= first === undefined
    if (first !== listener) return
    const isTaken = !listeners.every(isOurs) || (signal === 'SIGUSR2' && isHeapdumpListening())
    if (!isTaken) {
      dumps++
      void order().then(() => dumps--)
      return
    }
    if (!hasSteppedAside)
      notice(`${signal} has another listener in this process, so the signal triggers no dump of this monitor`)
    hasSteppedAside = true
  }
  const mark = (isActive: boolean) =>
    Object.defineProperty(listener, OURS, { value: isActive, configurable: true })
  mark(false)
  const why = whyRefused(signal, listener)
  if (why !== undefined) {
    notice(`${why}; use dumpMemory() to take a heap snapshot`)
    return NO_WATCH
  }
  return {
    serve(onSignal, isTakenByHeapdump) {
      order = onSignal
      isHeapdumpListening = isTakenByHeapdump
      mark(true)
      if (isWaiting) listener()
    },
    ignore: () => void mark(false),
    stop: () => void process.removeListener(signal, listener),
  }
}

/** Adds the listener. Returns why it cannot be added. For a signal that the platform lacks, Node itself adds it and is silent. */
function whyRefused(signal: NodeJS.Signals, listener: () => void): string | undefined {
  if (!Object.hasOwn(constants.signals, signal)) return `this platform has no ${signal}`
  try {
    process.on(signal, listener)
    return undefined
  } catch (error) {
    return `${signal} cannot be listened for: ${messageOf(error)}`
  }
}

/** Used when the monitor does not listen for a signal: its functions do nothing. */
export const NO_WATCH: SignalWatch = {
  serve: () => undefined,
  ignore: () => undefined,
  stop: () => undefined,
}

function isOurs(listener: object): boolean {
  return Object.hasOwn(listener, OURS)
}

function takesSignals(listener: object): boolean {
  return (listener as { [OURS]?: boolean })[OURS] === true
}

/**
 * Whether SIGUSR2 has a native handler. The package heapdump installs one, and a listener of the monitor would then make a
 * second file for each signal. Reads the kernel's mask of caught signals (Linux only). If the mask contains SIGUSR2, the handler
 * is native, because Node itself does not catch SIGUSR2 and no JavaScript listens for it.
 */
function isTakenNatively(signal: NodeJS.Signals): boolean {
  if (signal !== 'SIGUSR2' || process.listenerCount(signal) > 0) return false
  try {
    const caught = /^SigCgt:\s*([\da-f]+)$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '0'
    return ((BigInt(`0x${caught}`) >> BigInt(constants.signals.SIGUSR2 - 1)) & 1n) === 1n
  } catch {
    return false
  }
}
