/** Reads one number about a process. A sampler owns its baseline, never a timer: whoever calls decides when. */
export interface Sampler {
  /**
   * Takes one reading.
   *
   * @returns The reading in the sampler's unit, or `undefined` while there is no baseline to compare with.
   * @throws When the operating system gives no answer. The next call starts afresh.
   */
  sample(): Promise<number | undefined>

  /** Gives back every descriptor that sampling opened. Idempotent; resolves when they are closed. */
  close(): Promise<void>
}
