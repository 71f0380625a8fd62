import type { Session } from 'node:inspector'

/**
 * Makes V8 discard all optimized code, so that a running profiler learns of the code that replaces it.
 *
 * A profiler that starts logs the functions that exist, but not code that replaced a running loop on the stack (OSR):
 * V8 keeps that in a cache, apart from its function. Samples in it are credited to the caller, so that the profile of
 * an endless loop names everything but the loop (seen on Node 20, 22, 24 and 26). Starting precise coverage deoptimizes
 * all code as a side effect; it is ended at once.
 *
 * The cost is a walk over the heap at the start and at the end, each about as long as the profiler's own start, and a
 * second warm-up of the hot functions: a loaded server needs twice the CPU for its requests for seconds. Coverage that
 * the application collects is lost with any CPU profile anyway (microsoft/vscode#330740).
 *
 * @param post - Sends one call of the Profiler domain, which must be enabled.
 */
export function forgetOptimizedCode<Answer>(
  post: (method: 'Profiler.startPreciseCoverage' | 'Profiler.stopPreciseCoverage') => Answer,
): [Answer, Answer] {
  return [post('Profiler.startPreciseCoverage'), post('Profiler.stopPreciseCoverage')]
}

/** {@link forgetOptimizedCode} for the calling thread, synchronously. */
export function forgetOptimizedCodeHere(openSession: () => Session): void {
  const session = openSession()
  try {
    session.post('Profiler.enable')
    forgetOptimizedCode((method) => session.post(method))
  } finally {
    session.disconnect()
  }
}
