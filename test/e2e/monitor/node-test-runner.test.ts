import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { describe, test, type TestContext } from 'node:test'
import { programEnvironment } from '../../harness/program'
import { artefacts, fixture, scratch } from './app'

const PRELOAD = fixture('preloaded.js')
const ONE_TEST = fixture('one-test.js')

function run(t: TestContext, args: readonly string[], env: NodeJS.ProcessEnv = {}) {
  const directory = scratch(t)
  const { pid, status, signal, stdout, stderr } = spawnSync(process.execPath, args, {
    cwd: directory,
    env: programEnvironment(env),
    encoding: 'utf8',
    timeout: 60_000,
    killSignal: 'SIGKILL',
  })
  assert.deepEqual({ status, signal }, { status: 0, signal: null }, stdout + stderr)
  // The runner prints on its stdout what its test processes print on their stderr.
  const lines = `${stdout}\n${stderr}`.split('\n').filter((line) => line.includes(' watching '))
  const watchesFrom = (isParent: boolean) => lines.filter((line) => line.startsWith(`${pid} `) === isParent)
  const snapshots = artefacts({ directory }, 'manual-memory-').filter((name) =>
    name.endsWith('.heapsnapshot'),
  )
  return { pid, stdout, stderr, snapshots, parent: watchesFrom(true), children: watchesFrom(false) }
}

/** Node makes no inspector in the parent process of its test runner; a session from another thread aborts it. */
describe('node --test with the monitor preloaded', { concurrency: 1 }, () => {
  for (const [way, args, env] of [
    ['by -r', ['-r', PRELOAD], {}],
    ['by NODE_OPTIONS', [], { NODE_OPTIONS: `-r ${PRELOAD}` }],
  ] as const) {
    test(`${way}: passes, and watches the runner from its main thread, with the reason`, (t) => {
      const { pid, stdout, parent, snapshots } = run(t, [...args, '--test', ONE_TEST], env)
      assert.match(stdout, /pass 1\b/)
      assert.equal(parent.length, 1)
      const line = parent[0] ?? ''
      assert.match(line, /on the main thread, because the watchdog thread could not be started: Node started/)
      assert.match(line, /memory above .* by .*v8[),]/)
      assert.match(line, /; not used: .*\binspector \(Node started this process without an inspector\)/)
      assert.match(line, /\bsampling \(Node started this process without an inspector\)/)
      assert.ok(
        snapshots.some((name) => name.startsWith(`manual-memory-${pid}-`)),
        'the ways that are left work',
      )
    })
  }

  test('watches its test processes from a thread, as any other process', (t) => {
    const { children, snapshots } = run(t, ['--test', ONE_TEST], { NODE_OPTIONS: `-r ${PRELOAD}` })
    assert.equal(children.length, 1)
    assert.match(children[0] ?? '', /on a thread of its own/)
    assert.equal(snapshots.length, 2, 'the runner and its test process')
  })

  test('the same test file without a runner has an inspector and a thread', (t) => {
    const { parent } = run(t, ['-r', PRELOAD, ONE_TEST])
    assert.match(parent[0] ?? '', /on a thread of its own/)
  })
})
