import { readFileSync } from 'node:fs'
import { constants } from 'node:os'
import { isHeapdumpListening } from '../capture/engines'

/** Number of dumps requested by signals and not done, at most: one that runs, and one that waits. */
export const MAX_SIGNAL_DUMPS = 2

/** The parts that the signal watch needs. */
export interface SignalWatchParts {
  readonly signal: NodeJS.Signals
  /** Receives a log line for the operator. */
  readonly notice: (line: string) => void
}

/** The listener for the signal that triggers a heap snapshot. */
export interface SignalWatch {
  /**
   * From now on the signal triggers a dump. Before, it has no effect.
   *
   * @param onSignal - Called for each signal that is meant for this monitor. Resolves when the dump is done; must not
   * reject.
   */
  serve(onSignal: () => Promise<unknown>): void
  /** From now on the signal has no effect: it triggers no dump, and does not end the process either. */
  ignore(): void
  /** Removes the listener. The signal then has its default effect again, which for SIGUSR2 is to end the process. */
  stop(): void
}

/** Marks the listeners of all monitors in the process, of all copies of this package. `true`: takes signals. */
const OURS = Symbol.for('cpu-memory-monitor:signal-listener')

/**
 * Listens for the signal that triggers a heap snapshot. From this call on the signal does not end the process.
 *
 * The monitor starts first in the entry file, before the application adds its own handlers. nodemon restarts with
 * SIGUSR2, and recluster and close-with-grace use it too. So with each signal the listener checks again whether to
 * leave it to another. Of several monitors in the process the oldest takes it; when that one stops, the next does.
 *
 * A signal that arrives while {@link MAX_SIGNAL_DUMPS} are not done is dropped before any memory is allocated for it:
 * the waiting dump answers it as well, and a flood of signals costs no memory.
 */
export function watchSignal({ signal, notice }: SignalWatchParts): SignalWatch {
  if (isTakenNatively(signal)) {
    notice(
      `${signal} has a native handler in this process, as heapdump installs one; the signal is left to that handler`,
    )
    return NO_WATCH
  }
  let hasSteppedAside = false
  let dumps = 0
  let order = (): Promise<unknown> => Promise.resolve()
  const listener = () => {
    if (dumps >= MAX_SIGNAL_DUMPS) return
    const listeners = process.listeners(signal)
    if (listeners.find(takesSignals) !== listener) return
    const isTaken = !listeners.every(isOurs) || (signal === 'SIGUSR2' && isHeapdumpListening())
    if (!isTaken) {
      dumps++
      void order().then(() => dumps--)
      return
    }
    if (!hasSteppedAside)
      notice(`${signal} has another listener in this process; the signal is left to that listener`)
    hasSteppedAside = true
  }
  const mark = (isActive: boolean) =>
    Object.defineProperty(listener, OURS, { value: isActive, configurable: true })
  mark(false)
  try {
    process.on(signal, listener)
  } catch {
    notice(`this platform has no ${signal}; use dumpMemory() to take a heap snapshot`)
    return NO_WATCH
  }
  return {
    serve(onSignal) {
      order = onSignal
      mark(true)
    },
    ignore: () => void mark(false),
    stop: () => void process.removeListener(signal, listener),
  }
}

/** The signal watch of a monitor that leaves the signal to another listener. */
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
 * Whether heapdump has a native handler for SIGUSR2: with a second listener one signal would make two files. Before the
 * monitor's listener is installed, the kernel's list of caught signals shows that handler (Linux). Node itself catches
 * other signals.
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
