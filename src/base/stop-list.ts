type Stop = () => void | Promise<void>

/** A list of functions, each of which stops or removes something that was started, such as a timer or a thread. */
export interface StopList {
  add(stop: Stop): void
  /**
   * Calls all functions in reverse order of their addition. Calls the first before it returns, and each other one when the
   * promise of the previous has settled. Idempotent, never rejects.
   */
  stop(): Promise<void>
}

/** @param onFailure - Called with each error of a stop function; the other functions are still called. Must not throw. */
export function createStopList(onFailure: (error: unknown) => void): StopList {
  const stops: Stop[] = []
  let stopping: Promise<void> | undefined
  const stopAll = async (): Promise<void> => {
    for (const stop of stops.splice(0).reverse()) {
      try {
        await stop()
      } catch (error) {
        onFailure(error)
      }
    }
  }
  return {
    add: (stop) => void stops.push(stop),
    stop: () => (stopping ??= stopAll()),
  }
}
