type Stop = () => void | Promise<void>

/** A list of functions that stop what was started. The function that was added last is called first. */
export interface StopList {
  add(stop: Stop): void
  /** Calls all functions: the first one synchronously, each further one after the previous. Idempotent, never rejects. */
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
