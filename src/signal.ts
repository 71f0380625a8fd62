/** What the signal watch needs of the rest. */
export interface SignalWatchParts {
  readonly signal: NodeJS.Signals
  /** The signal came and is ours. */
  readonly onSignal: () => void
  /** Something to be read once. */
  readonly notice: (line: string) => void
}

/**
 * Listens for the signal that asks for a heap snapshot by hand.
 *
 * We stand first in the entry file, before the application has added its own handlers. nodemon restarts with SIGUSR2,
 * recluster and close-with-grace use it too: so whether to step aside is decided at each signal, not at start.
 *
 * @returns The undoing. Afterwards the signal has its default effect again, which for SIGUSR2 is to end the process.
 */
export function watchSignal({ signal, onSignal, notice }: SignalWatchParts): () => void {
  let hasSteppedAside = false
  const listener = () => {
    if (process.listenerCount(signal) === 1) {
      onSignal()
      return
    }
    if (!hasSteppedAside) notice(`${signal} has another listener in this process; it is left to that one`)
    hasSteppedAside = true
  }
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
