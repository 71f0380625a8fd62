type Step = () => void | Promise<void>

/** Undoes in reverse order what was done, once, and goes on when a step fails. */
export class UndoList {
  readonly #steps: Step[] = []
  readonly #onFailure: (error: unknown) => void
  #done: Promise<void> | undefined

  constructor(onFailure: (error: unknown) => void) {
    this.#onFailure = onFailure
  }

  add(step: Step): void {
    this.#steps.push(step)
  }

  /** Idempotent, never rejects. Steps before the first that has to be waited for are undone within the call. */
  run(): Promise<void> {
    this.#done ??= this.#runAll()
    return this.#done
  }

  async #runAll(): Promise<void> {
    for (const step of this.#steps.splice(0).reverse()) {
      try {
        await step()
      } catch (error) {
        this.#onFailure(error)
      }
    }
  }
}
