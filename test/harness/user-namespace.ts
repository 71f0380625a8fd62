// A process of user 65534 in a user namespace that maps no other user, as the service of a rootless container (`USER nobody`).
import { execFileSync } from 'node:child_process'

/** Outside it is the test's own user, so that it may read the code and write where the test may. */
export const UNSHARE = ['unshare', '--user', '--map-user=65534', '--map-group=65534'] as const
/** A user that the namespace does not map: within, his files have the id 65534 as well. */
export const UNMAPPED = 12_345

/** For the `skip` of a test with such a process and files of {@link UNMAPPED}. */
export const noNamespace = whyNot()

function whyNot(): string | false {
  if (process.getuid?.() !== 0) return 'only root can give files away'
  try {
    inNamespace('0')
    return false
  } catch (error) {
    return `no user namespace can be made here: ${String((error as Error).message).trim()}`
  }
}

/** Evaluates an expression of JavaScript there, which may be a promise, and returns its value; `argv` are its arguments. */
export function inNamespace(expression: string, ...argv: readonly string[]): unknown {
  // The timer holds the process, as unref'd ones of the code under test do not.
  const program = `const hold = setInterval(() => undefined, 1000)
    ;(async () => console.log(JSON.stringify(await (${expression}))))().finally(() => clearInterval(hold))`
  const [file, ...args] = UNSHARE
  const stdout = execFileSync(file, [...args, process.execPath, '-e', program, '--', ...argv], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  return JSON.parse(stdout) as unknown
}

/** For an expression: requires a built module, such as `files/retention`. */
export function built(module: string): string {
  return `require(${JSON.stringify(require.resolve(`../../dist/${module}.js`))})`
}
