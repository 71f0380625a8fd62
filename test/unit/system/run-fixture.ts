import { join } from 'node:path'
import { runToEnd } from '../../harness/program'

const fixtures = join(__dirname, 'programs')
const DEADLINE_MS = 30_000

/** Path of a program or folder of this room's fixtures. */
export function fixture(name: string): string {
  return join(fixtures, name)
}

/** Runs a program of the fixtures to its end; gives the JSON that it printed and everything it said on stderr. */
export async function runFixture<Result>(
  name: string,
  given: { args?: string[]; env?: NodeJS.ProcessEnv; nodeArgs?: string[]; descriptors?: number } = {},
): Promise<{ result: Result; stderr: string }> {
  const { args = [], env = process.env, nodeArgs = [], descriptors } = given
  const command = [process.execPath, ...nodeArgs, fixture(name), ...args]
  const limited = ['/bin/sh', '-c', `ulimit -n ${descriptors} && exec "$@"`, 'sh', ...command]
  const ended = await runToEnd(descriptors === undefined ? command : limited, { env, timeoutMs: DEADLINE_MS })
  if (ended.code !== 0) throw new Error(`${name} failed: ${ended.code ?? ended.signal}\n${ended.stderr}`)
  return { result: JSON.parse(ended.stdout) as Result, stderr: ended.stderr }
}
