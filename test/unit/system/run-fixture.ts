import { execFile } from 'node:child_process'
import { join } from 'node:path'

const fixtures = join(__dirname, 'programs')
const DEADLINE_MS = 30_000

/** Path of a program or folder of this room's fixtures. */
export function fixture(name: string): string {
  return join(fixtures, name)
}

/** Runs a program of the fixtures to its end; gives the JSON that it printed and everything it said on stderr. */
export function runFixture<Result>(
  name: string,
  given: { args?: string[]; env?: NodeJS.ProcessEnv; nodeArgs?: string[]; descriptors?: number } = {},
): Promise<{ result: Result; stderr: string }> {
  const { args = [], env = process.env, nodeArgs = [], descriptors } = given
  const command = [process.execPath, ...nodeArgs, fixture(name), ...args]
  const limited = ['/bin/sh', '-c', `ulimit -n ${descriptors} && exec "$@"`, 'sh', ...command]
  const [file = '', ...rest] = descriptors === undefined ? command : limited
  return new Promise((resolve, reject) => {
    execFile(file, rest, { env, timeout: DEADLINE_MS, killSignal: 'SIGKILL' }, (error, stdout, stderr) => {
      if (error) reject(new Error(`${name} failed: ${error.message}\n${stderr}`))
      else resolve({ result: JSON.parse(stdout) as Result, stderr })
    })
  })
}
