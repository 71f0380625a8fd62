type Stop = () => void | Promise<void>

/** What has been started, to be stopped in reverse order. */
export interface StopList {
  add(stop: Stop): void
  /** Idempotent, never rejects. Stops before the first that has to be waited for are called within the call. */
  stop(): Promise<void>
}

/** @param onFailure - Called with what a stop throws or rejects with; the others are called all the same. Must not throw. */
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
