/**
 * The environment for a thread of ours: the application's, without what would make the thread part of it. NODE_OPTIONS would
 * run its preloads and loaders a second time, NODE_V8_COVERAGE would have the thread write a coverage file of its own.
 */
export function threadEnvironment<Value>(
  environment: Readonly<Record<string, Value>>,
): Record<string, Value> {
  const left = new Set(['NODE_OPTIONS', 'NODE_V8_COVERAGE'])
  return Object.fromEntries(Object.entries(environment).filter(([name]) => !left.has(name)))
}
