const SIGNAL = 'SIGUSR2'

/**
 * The monitor's default signal, sent to all processes of a service (`pkill -USR2 -f server.js`), also reaches the primary
 * and workers without a monitor, and ends a process that does not listen for it. This listener keeps such a process alive.
 * It is removed, and not added again, when the application or a monitor adds one, and it keeps no process alive.
 *
 * @returns The undoing. Afterwards the signal has its default effect again.
 */
export function surviveDumpSignal(onSignal: () => void): () => void {
  if (process.listenerCount(SIGNAL) > 0) return () => undefined
  const listener = () => onSignal()
  const remove = () => {
    process.off('newListener', stepAside)
    process.off(SIGNAL, listener)
  }
  // Later, when the other listener is there: without any, a signal in between would end the process.
  const stepAside = (event: string | symbol) => {
    if (event === SIGNAL) process.nextTick(remove)
  }
  try {
    process.on(SIGNAL, listener)
  } catch {
    // Windows has no such signal.
    return () => undefined
  }
  process.on('newListener', stepAside)
  return remove
}
