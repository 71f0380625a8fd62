import { readFileSync } from 'node:fs'
import { constants } from 'node:os'
import { isHeapdumpListening } from './capture/optional-package'

/** What the signal watch needs of the rest. */
export interface SignalWatchParts {
  readonly signal: NodeJS.Signals
  /** The signal came and is ours. */
  readonly onSignal: () => void
  /** Something to be read once. */
  readonly notice: (line: string) => void
}

/** Marks the listeners of all monitors in the process, those of other copies of this package too. */
const OURS = Symbol.for('cpu-memory-monitor:signal-listener')

/**
 * Listens for the signal that asks for a heap snapshot by hand.
 *
 * We stand first in the entry file, before the application has added its own handlers. nodemon restarts with SIGUSR2,
 * recluster and close-with-grace use it too: so whether to step aside is decided at each signal, not at start. Of several
 * monitors in the process the oldest takes it; when that one stops, the next does.
 *
 * @returns The undoing. Afterwards the signal has its default effect again, which for SIGUSR2 is to end the process.
 */
export function watchSignal({ signal, onSignal, notice }: SignalWatchParts): () => void {
  if (isTakenNatively(signal)) {
    notice(`${signal} is taken by a native handler, as heapdump installs one; it is left to that one`)
    return () => undefined
  }
  let hasSteppedAside = false
  const listener = () => {
    const listeners = process.listeners(signal)
    if (listeners.find(isOurs) !== listener) return
    const isTaken = !listeners.every(isOurs) || (signal === 'SIGUSR2' && isHeapdumpListening())
    if (!isTaken) {
      onSignal()
      return
    }
    if (!hasSteppedAside) notice(`${signal} has another listener in this process; it is left to that one`)
    hasSteppedAside = true
  }
  Object.defineProperty(listener, OURS, { value: true })
  try {
    process.on(signal, listener)
  } catch {
    notice(`this platform has no ${signal}; heap snapshots by hand: dumpMemory()`)
    return () => undefined
  }
  return () => {
    process.removeListener(signal, listener)
  }
}

function isOurs(listener: object): boolean {
  return OURS in listener
}

/**
 * heapdump, once an application has loaded it, hears SIGUSR2 below JavaScript: beside it one signal would make two files.
 * Before our own listener is there, the kernel's list of caught signals gives it away (Linux). Node itself catches others.
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
