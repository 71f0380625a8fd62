import assert from 'node:assert/strict'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { assertTwins, type Foreign } from './twins'

const program = (name: string) => join(__dirname, 'programs', name)
const node = (name: string, ...args: string[]): Foreign => ({ name, file: process.execPath, args })
const permission = process.allowedNodeEnvironmentFlags.has('--permission')
  ? '--permission'
  : '--experimental-permission'

const flags = ['--frozen-intrinsics', '--no-harmony-atomics', '--disallow-code-generation-from-strings']

/** The rest, with what has to be installed first: npm run accept -- foreign. */
const COMMANDS: readonly Foreign[] = [
  node('a program that ends at once', '-e', ''),
  node('a program that prints and ends with a code', '-e', 'console.log(1); process.exitCode = 3'),
  node('a program that throws', '-e', "setTimeout(() => { throw new Error('thrown') }, 50)"),
  node('a program that ends by a signal', '-e', "process.kill(process.pid, 'SIGTERM')"),
  node('an ES module that waits for ever', '--input-type=module', '-e', 'await new Promise(() => 1)'),
  node('an expression', '-p', 'process.execArgv'),
  node('child_process.fork', program('forks.js')),
  node('a cluster', program('primary.js')),
  node('worker threads', program('threads.js')),
  node('node --test', '--test', join(__dirname, '../monitor/programs/one-test.js')),
  node('--permission', permission, '--allow-fs-read=*', '-e', 'setTimeout(() => console.log(1), 300)'),
  ...flags.map((flag) => node(flag, flag, '-e', 'setTimeout(() => console.log(1), 300)')),
  { name: 'npm', file: 'npm', args: ['--version'] },
]

describe('a process that does not know the monitor prints and ends as without it', { concurrency: 1 }, () => {
  for (const command of COMMANDS) test(command.name, () => assertTwins(command))

  test('and the comparison sees a line more, and another exit code', () => {
    const differs = node('differs', '-e', 'console.error(process.env.NODE_OPTIONS.length)')
    assert.throws(() => assertTwins(differs), assert.AssertionError)
    const ends = node('ends', '-e', 'process.exitCode = process.env.NODE_OPTIONS.length > 0 ? 1 : 0')
    assert.throws(() => assertTwins(ends), assert.AssertionError)
  })
})
