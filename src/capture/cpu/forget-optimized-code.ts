import type { Session } from 'node:inspector'

/**
 * Makes V8 discard all optimized code. V8 then compiles the code again, and a running CPU profiler learns its names.
 *
 * A profiler lists the functions that exist when it starts, but not optimized code that has replaced a running loop (OSR,
 * on-stack replacement): V8 keeps such code in a cache of its own. Samples in it are attributed to the caller, so the
 * profile of an endless loop names everything but the loop (seen on Node 20, 22, 24 and 26). Starting precise coverage
 * discards all optimized code as a side effect. The coverage is stopped at once.
 *
 * The start and the stop each walk over the heap, which takes about as long as the start of the profiler. Hot functions
 * must warm up again: for seconds, a loaded server needs twice the CPU for its requests. Coverage that the application
 * collects is lost with any CPU profile anyway (microsoft/vscode#330740).
 *
 * @param post - Sends one call of the inspector's Profiler domain, which must be enabled.
 * @returns What `post` returned for the start of the coverage and for its stop.
 */
export function forgetOptimizedCode<Answer>(
  post: (method: 'Profiler.startPreciseCoverage' | 'Profiler.stopPreciseCoverage') => Answer,
): [Answer, Answer] {
  return [post('Profiler.startPreciseCoverage'), post('Profiler.stopPreciseCoverage')]
}

/** Makes V8 discard all optimized code of the calling thread, synchronously, through an inspector session to the same thread. */
export function forgetOptimizedCodeHere(openSession: () => Session): void {
  const session = openSession()
  try {
    session.post('Profiler.enable')
    forgetOptimizedCode((method) => session.post(method))
  } finally {
    session.disconnect()
  }
}
