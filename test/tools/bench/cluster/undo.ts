/** What has to be undone, the last first: also after a failure. */
export class Undo {
  readonly #steps: (() => unknown)[] = []

  readonly after = (step: () => unknown): void => void this.#steps.push(step)

  /** A step that fails is told, and keeps none of the others from being taken. */
  async run(): Promise<void> {
    for (let step = this.#steps.pop(); step; step = this.#steps.pop()) {
      try {
        await step()
      } catch (error) {
        console.error(`could not clean up: ${String(error)}`)
      }
    }
  }
}
