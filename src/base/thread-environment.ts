import type { WorkerOptions } from 'node:worker_threads'
import { OWN_THREAD_NAME } from './thread-figures'

/**
 * Returns the environment variables for a worker thread of this library: the application's, without NODE_OPTIONS and
 * NODE_V8_COVERAGE. NODE_OPTIONS would run the application's preloads and loaders a second time. NODE_V8_COVERAGE would
 * make the thread write a coverage file.
 */
export function threadEnvironment<Value>(
  environment: Readonly<Record<string, Value>>,
): Record<string, Value> {
  const left = new Set(['NODE_OPTIONS', 'NODE_V8_COVERAGE'])
  return Object.fromEntries(Object.entries(environment).filter(([name]) => !left.has(name)))
}

/**
 * Returns the options for a worker thread of this library. The application's preloads and loaders must not run a second
 * time: `execArgv` drops those of the command line, `env` those of NODE_OPTIONS. The thread's output is discarded.
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
