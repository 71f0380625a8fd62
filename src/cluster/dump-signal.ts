const SIGNAL = 'SIGUSR2'

/**
 * Adds a listener that keeps a process without a monitor alive when it gets SIGUSR2, by default the monitor's signal for a
 * heap snapshot. If the signal is sent to all processes of a service (`pkill -USR2 -f server.js`), it also reaches the
 * primary and workers without a monitor, and without a listener it would end them. The listener is removed for good when the
 * application or a monitor adds one of its own, and is not added if there is one already. It does not keep the event loop
 * running.
 *
 * @param onSignal - Called when the process gets the signal.
 * @returns A function that removes the listener. Without another listener, the signal then ends the process again.
 */
export function surviveDumpSignal(onSignal: () => void): () => void {
  if (process.listenerCount(SIGNAL) > 0) return () => undefined
  const listener = () => onSignal()
  const remove = () => {
    process.off('newListener', stepAside)
    process.off(SIGNAL, listener)
  }
  // Remove the listener only in the next tick, when the new one is in place: a signal without a listener ends the process.
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
