import { readFileSync } from 'node:fs'
import { constants } from 'node:os'
import { isHeapdumpListening } from '../capture/optional-package'

/** Dumps that signals may have ordered and that are not done: one that runs, and one that waits for its turn. */
export const MAX_SIGNAL_DUMPS = 2

/** What the signal watch needs of the other parts. */
export interface SignalWatchParts {
  readonly signal: NodeJS.Signals
  /** The signal arrived and is meant for this monitor. Resolves when the dump is done; must not reject. */
  readonly onSignal: () => Promise<unknown>
  /** Takes a line that the operator should read once. */
  readonly notice: (line: string) => void
}

/** The listener for the manual signal. */
export interface SignalWatch {
  /** From now on the signal has no effect: it orders no dump, and it does not end the process either. */
  ignore(): void
  /** Removes the listener. The signal then has its default effect again, which for SIGUSR2 is to end the process. */
  stop(): void
}

/** Marks the listeners of all monitors in the process, other copies of this package included. `true`: takes signals. */
const OURS = Symbol.for('cpu-memory-monitor:signal-listener')

/**
 * Listens for the signal that orders a heap snapshot by hand.
 *
 * The monitor starts first in the entry file, before the application adds its own handlers. nodemon restarts with SIGUSR2,
 * recluster and close-with-grace use it too. So each signal decides anew whether to step aside. Of several monitors in the
 * process the oldest takes it; when that one stops, the next does.
 *
 * A signal that arrives while {@link MAX_SIGNAL_DUMPS} are not done is dropped before anything is allocated for it: the
 * dump that waits answers it as well, and a flood of signals costs no memory.
 */
export function watchSignal({ signal, onSignal, notice }: SignalWatchParts): SignalWatch {
  if (isTakenNatively(signal)) {
    notice(
      `${signal} has a native handler in this process, as heapdump installs one; it is left to that handler`,
    )
    return NO_WATCH
  }
  let hasSteppedAside = false
  let dumps = 0
  const listener = () => {
    if (dumps >= MAX_SIGNAL_DUMPS) return
    const listeners = process.listeners(signal)
    if (listeners.find(takesSignals) !== listener) return
    const isTaken = !listeners.every(isOurs) || (signal === 'SIGUSR2' && isHeapdumpListening())
    if (!isTaken) {
      dumps++
      void onSignal().then(() => dumps--)
      return
    }
    if (!hasSteppedAside)
      notice(`${signal} has another listener in this process; it is left to that listener`)
    hasSteppedAside = true
  }
  const mark = (isActive: boolean) =>
    Object.defineProperty(listener, OURS, { value: isActive, configurable: true })
  mark(true)
  try {
    process.on(signal, listener)
  } catch {
    notice(`this platform has no ${signal}; use dumpMemory() for a heap snapshot by hand`)
    return NO_WATCH
  }
  return {
    ignore: () => void mark(false),
    stop: () => void process.removeListener(signal, listener),
  }
}

/** Where the signal is left to others. */
export const NO_WATCH: SignalWatch = { ignore: () => undefined, stop: () => undefined }

function isOurs(listener: object): boolean {
  return Object.hasOwn(listener, OURS)
}

function takesSignals(listener: object): boolean {
  return (listener as { [OURS]?: boolean })[OURS] === true
}

/**
 * An application that has loaded heapdump hears SIGUSR2 below JavaScript: with a second listener one signal would make two
 * files. Before ours is installed, the kernel's list of caught signals shows that handler (Linux). Node itself catches others.
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
