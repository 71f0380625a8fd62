/** Thrown when an order cannot be given because the process exits. The dump is then skipped; nothing has failed. */
export class ExitingError extends Error {
  constructor() {
    super('the process is exiting')
  }
}
