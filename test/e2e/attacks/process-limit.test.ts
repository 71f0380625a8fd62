// A limit of processes (RLIMIT_NPROC here, pids.max in containers) that is nearly used up. Node.js aborts where libuv cannot start its
// thread pool, and V8 where it cannot start its profiler: the monitor must not be the one that makes them try.
import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { cpSync } from 'node:fs'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { describe, test, type TestContext } from 'node:test'
import { isLong, SIDE_BY_SIDE } from './attacker'
import { makeDirectory, noSecondUser, scratch } from './second-user'
import { cleanEnvironment, install, PROGRAMS } from './victim'

/** From where Node.js itself just starts to where there is room for everything. */
const LIMITS = isLong ? Array.from({ length: 20 }, (_, index) => 6 + index) : [7, 9, 11, 12, 14, 16, 20]
const ENOUGH = 40
const OPTIONS = { logger: false, cpu: { interval: 100 }, memory: { interval: 100 } }

/** The kernel counts by user: with one for each program they can run side by side. Nobody has these numbers. */
let lastUser = 1_900_000_000
const canRun = spawnSync(process.execPath, ['-e', ''], { uid: lastUser, gid: lastUser }).status === 0
const skip = noSecondUser || (canRun ? false : 'another user may not run this Node')

interface End {
  readonly status: number | null
  readonly lines: readonly string[]
}

describe('a limit of processes', { skip, concurrency: SIDE_BY_SIDE }, () => {
  for (const watchdog of [true, false]) {
    const place = watchdog ? 'watched on its own thread' : 'watched on the main thread'

    for (const mode of ['idle', 'pool'] as const) {
      test(`H8 ends no application that ${mode === 'idle' ? 'does nothing and' : 'uses the thread pool and'} lives without the monitor, ${place}`, async (t) => {
        const { run } = prepare(t)
        const twins = await Promise.all(
          LIMITS.map(async (limit) => ({
            limit,
            bare: await run(limit, 'bare', mode),
            watched: await run(limit, { ...OPTIONS, watchdog }, mode),
          })),
        )
        const living = twins.filter(({ bare }) => bare.status === 0)
        t.diagnostic(`${t.name}: ${living.length} of ${twins.length} live without the monitor`)
        assert.ok(living.length > 1)
        assert.deepEqual(
          living.filter(({ watched }) => watched.status !== 0).map(({ limit }) => limit),
          [],
        )
      })
    }

    test(`H8 that is used up later fails both dumps, takes no snapshot in place and ends nothing, ${place}`, async (t) => {
      const { run, directory } = prepare(t)
      const { status, lines } = await run(ENOUGH, { ...OPTIONS, watchdog, profileDir: directory }, 'full')
      const [error, cpu = '', memory = ''] = lines
      assert.deepEqual({ status, error }, { status: 0, error: 'EAGAIN' })
      assert.match(cpu, /^failed: .*thread/)
      assert.match(memory, /^failed: .*(a limit of processes is reached \(EAGAIN\)|thread)/)
    })
  }

  test('H8 but with room for its thread the monitor has it', async (t) => {
    const { run, directory } = prepare(t)
    const options = { cpu: {}, memory: {}, profileDir: directory }
    const [narrow, wide] = await Promise.all([run(12, options, 'idle'), run(ENOUGH, options, 'idle')])
    assert.match(narrow.lines.join('\n'), /main thread, because .* start only \d+ of the 9 threads/)
    assert.match(wide.lines.join('\n'), /on a thread of its own/)
  })
})

function prepare(t: TestContext): {
  directory: string
  run: (limit: number, options: object | 'bare', mode: string) => Promise<End>
} {
  const parent = scratch(t)
  const app = install(makeDirectory(parent, 'service', 0o755))
  const program = join(app.directory, 'narrow.js')
  cpSync(join(PROGRAMS, 'narrow.js'), program)
  return {
    directory: makeDirectory(parent, 'dumps', 0o777),
    async run(limit, options, mode) {
      const user = ++lastUser
      const args = [program, options === 'bare' ? options : JSON.stringify(options), mode]
      const child = spawn('prlimit', [`--nproc=${limit}`, process.execPath, ...args], {
        ...{ uid: user, gid: user, cwd: '/', env: cleanEnvironment() },
        stdio: ['ignore', 'pipe', 'pipe'],
        // A Node.js that cannot start all its threads may wait for ever.
        timeout: 30_000,
        killSignal: 'SIGKILL',
      })
      const [output, errors, [status]] = await Promise.all([
        text(child.stdout),
        text(child.stderr),
        once(child, 'close') as Promise<[number | null]>,
      ])
      return { status, lines: `${output}${errors}`.trim().split('\n') }
    },
  }
}
