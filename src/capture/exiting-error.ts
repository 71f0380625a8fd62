/** Thrown when an order cannot be given because the process exits. The dump is then skipped, and is not a failure. */
export class ExitingError extends Error {
  constructor() {
    super('the process is exiting')
  }
}
