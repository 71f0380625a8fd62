let running = 0

/**
 * Runs a late `require()` on the main thread. An order of the watchdog thread can interrupt it anywhere; a second `require()` of the
 * same code would then get the part that is loaded so far.
 */
export function loadLate<Code>(load: () => Code): Code {
  running++
  try {
    return load()
  } finally {
    running--
  }
}

/** Whether this call interrupts a {@link loadLate}. */
export function isLoadingLate(): boolean {
  return running > 0
}
