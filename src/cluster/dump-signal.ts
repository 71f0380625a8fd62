const SIGNAL = 'SIGUSR2'

/**
 * Adds a listener that keeps a process without a monitor alive when it gets SIGUSR2, by default the monitor's signal for a
 * heap snapshot. If the signal is sent to all processes of a service (`pkill -USR2 -f server.js`), it also reaches the
 * primary and workers without a monitor, and would end them. The listener is removed, and not added again, when the
 * application or a monitor adds one. It does not keep the event loop running.
 *
 * @returns A function that removes the listener. Afterwards the signal has its default effect again.
 */
export function surviveDumpSignal(onSignal: () => void): () => void {
  if (process.listenerCount(SIGNAL) > 0) return () => undefined
  const listener = () => onSignal()
  const remove = () => {
    process.off('newListener', stepAside)
    process.off(SIGNAL, listener)
  }
  // Removed in the next tick, when the new listener is in place: a signal that finds no listener ends the process.
  const stepAside = (event: string | symbol) => {
    if (event === SIGNAL) process.nextTick(remove)
  }
  try {
    process.on(SIGNAL, listener)
  } catch {
    // Windows has no SIGUSR2.
    return () => undefined
  }
  process.on('newListener', stepAside)
  return remove
}
