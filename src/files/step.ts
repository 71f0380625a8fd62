/** One call to the operating system, in the two forms that Node offers. */
export interface Operation<T> {
  sync(): T
  async(): Promise<T>
}

/**
 * A story told once for two worlds: it yields operations and receives their results. A thread with an event loop runs it
 * with {@link run}; a forked child, which has no thread pool, with {@link runSync}.
 */
export type Steps<T> = Generator<Operation<unknown>, T, unknown>

/** Yields one operation from within a story, with the type of its result. */
export function* operate<T>(operation: Operation<T>): Steps<T> {
  return (yield operation) as T
}

/** Runs a story on the event loop. Rejects with what it throws. */
export async function run<T>(steps: Steps<T>): Promise<T> {
  let step = steps.next()
  while (step.done !== true) {
    let result: unknown
    try {
      result = await step.value.async()
    } catch (error) {
      step = steps.throw(error)
      continue
    }
    step = steps.next(result)
  }
  return step.value
}

/** Runs a story to its end without returning to the event loop. Throws what it throws. */
export function runSync<T>(steps: Steps<T>): T {
  let step = steps.next()
  while (step.done !== true) {
    let result: unknown
    try {
      result = step.value.sync()
    } catch (error) {
      step = steps.throw(error)
      continue
    }
    step = steps.next(result)
  }
  return step.value
}
