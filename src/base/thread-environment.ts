import type { WorkerOptions } from 'node:worker_threads'
import { OWN_THREAD_NAME } from './thread-figures'

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

/**
 * How a thread of this library is started beside the application: the application's preloads and loaders must not run a
 * second time, and an empty `execArgv` alone does not stop those of NODE_OPTIONS. Its output goes nowhere.
 */
export function ownThreadOptions(): WorkerOptions {
  return {
    name: OWN_THREAD_NAME,
    execArgv: [],
    env: threadEnvironment(process.env),
    stdin: false,
    stdout: true,
    stderr: true,
  }
}
