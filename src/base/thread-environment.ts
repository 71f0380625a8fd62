/**
 * Environment variables for a thread that this library starts: the application's, without NODE_OPTIONS, which would run
 * the application's preloads and loaders a second time, and NODE_V8_COVERAGE, which would make the thread write a
 * coverage file.
 */
export function threadEnvironment<Value>(
  environment: Readonly<Record<string, Value>>,
): Record<string, Value> {
  const left = new Set(['NODE_OPTIONS', 'NODE_V8_COVERAGE'])
  return Object.fromEntries(Object.entries(environment).filter(([name]) => !left.has(name)))
}

/** The `name` of each thread that this package starts, in whichever copy of it: none is a worker of the application. */
export const OWN_THREAD_NAME = 'cpu-memory-monitor'
