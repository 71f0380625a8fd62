type Stop = () => void | Promise<void>

/** Functions that stop what has been started, called in reverse order. */
export interface StopList {
  add(stop: Stop): void
  /** Idempotent, never rejects. The first function is called synchronously, each other one after the previous. */
  stop(): Promise<void>
}

/** @param onFailure - Called with each error of a stop function; the others are still called. Must not throw. */
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
