let running = 0

/**
 * Runs `load`, which loads a module with `require()` on the main thread. Meanwhile {@link isLoadingLate} returns `true`: the
 * watchdog thread can interrupt the main thread anywhere to run other code there, and a second `require()` of the same
 * module would return only the part that is loaded so far.
 */
export function loadLate<Code>(load: () => Code): Code {
  running++
  try {
    return load()
  } finally {
    running--
  }
}

/** Whether {@link loadLate} is loading a module. If so, the caller has interrupted the load, and must not load one itself. */
export function isLoadingLate(): boolean {
  return running > 0
}
