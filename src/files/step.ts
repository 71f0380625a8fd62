/** One call to the operating system, in the two forms that Node offers. */
export interface Operation<T> {
  sync(): T
  async(): Promise<T>
  /** What the exit of the process does in the place of `sync`. */
  atExit?(): T
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
export function run<T>(steps: Steps<T>): Promise<T> {
  return new Run(steps).done
}

/** Runs a story to its end without returning to the event loop. Throws what it throws. */
export function runSync<T>(steps: Steps<T>): T {
  return goOn(
    steps,
    steps.next(),
    (operation) => operation.sync(),
    () => false,
  ) as T
}

/** A story under way on the event loop, which a process that exits in the middle of it can bring to its end without one. */
export class Run<T> {
  /** Settles when the story ends, whoever brings it there. */
  readonly done: Promise<T>
  readonly #steps: Steps<T>
  #underWay: IteratorYieldResult<Operation<unknown>> | undefined
  #isTakenOver = false
  #resolve!: (result: T) => void
  #reject!: (error: unknown) => void

  constructor(steps: Steps<T>) {
    this.#steps = steps
    this.done = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
    void this.#drive()
  }

  /**
   * For a process that exits: goes on from here without returning to the event loop. Nobody can tell how far the operation
   * under way has come, so it is done once more: the operations of such a story must bear that, or say what to do `atExit`.
   *
   * @param isTimeOver - Asked before each operation. When it is, the story is left where it stands.
   * @returns `undefined` when the time was over, or when the story had ended before.
   * @throws What the story throws.
   */
  finishNow(isTimeOver: () => boolean): T | undefined {
    if (!this.#underWay || this.#isTakenOver) return undefined
    this.#isTakenOver = true
    try {
      const result = goOn(this.#steps, this.#underWay, performAtExit, isTimeOver)
      if (result !== undefined) this.#resolve(result)
      return result
    } catch (error) {
      this.#reject(error)
      throw error
    }
  }

  async #drive(): Promise<void> {
    try {
      let step = this.#steps.next()
      while (step.done !== true) {
        this.#underWay = step
        const resume = await outcomeOf(step.value)
        if (this.#isTakenOver) return
        step = resume(this.#steps)
      }
      this.#resolve(step.value)
    } catch (error) {
      this.#reject(error)
    } finally {
      this.#underWay = undefined
    }
  }
}

type Resume = <T>(steps: Steps<T>) => IteratorResult<Operation<unknown>, T>

async function outcomeOf(operation: Operation<unknown>): Promise<Resume> {
  try {
    const result = await operation.async()
    return (steps) => steps.next(result)
  } catch (error) {
    return (steps) => steps.throw(error)
  }
}

function performAtExit(operation: Operation<unknown>): unknown {
  return operation.atExit ? operation.atExit() : operation.sync()
}

function goOn<T>(
  steps: Steps<T>,
  from: IteratorResult<Operation<unknown>, T>,
  perform: (operation: Operation<unknown>) => unknown,
  isTimeOver: () => boolean,
): T | undefined {
  let step = from
  while (step.done !== true) {
    if (isTimeOver()) return undefined
    let result: unknown
    try {
      result = perform(step.value)
    } catch (error) {
      step = steps.throw(error)
      continue
    }
    step = steps.next(result)
  }
  return step.value
}
