import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import { connect } from 'node:net'
import { describe, test } from 'node:test'
import type { Dump } from '../../../dist/dispatch/events.js'
import { artefacts, files, fixture, places, scratch, sidecarOf, startApp } from '../monitor/app'
import { instances } from '../monitor/profiles'
import { childrenOf, isRunning, until, untilAtWork, untilWhole } from './forked-child'
import { whyNoHelper } from './native/forking-server'

const options = { memory: { threshold: '20gb' } }
/** The child has to be at work still when something happens to it. */
const env = { HEAP_MB: '20' }

describe('a forked snapshot', { skip: whyNoHelper(), concurrency: 1 }, () => {
  test('becomes whole though the application is killed, and holds no port', async (t) => {
    const app = startApp(t, 'forking.js', options, { env })
    const leaked = await app.order<number>('leak')
    const { port } = (await app.until('port')) as { port: number }
    app.order('dumpMemory').catch(() => {})
    const child = await untilAtWork(app)
    app.kill('SIGKILL')
    assert.equal((await app.ended).signal, 'SIGKILL')

    // Its next life listens where it listened, while the child still writes.
    const next = startApp(t, 'forking.js', options, { env: { PORT: String(port) } })
    assert.equal(((await next.until('port')) as { port: number }).port, port)
    assert.ok(isRunning(child))

    const [profile = '', snapshot = ''] = await untilWhole(app)
    assert.deepEqual([profile.slice(-12), snapshot.slice(-13)], ['.heapprofile', '.heapsnapshot'])
    assert.equal(instances(`${app.directory}/${snapshot}`, 'LeakedThing'), leaked)
    assert.equal(sidecarOf(`${app.directory}/${snapshot}`).how.way, 'fork')
  })

  test('ends with its group; its files are no evidence', async (t) => {
    const directory = scratch(t)
    const args = [fixture('forking.js'), JSON.stringify(options)]
    const stdio = ['ignore', 'ignore', 'ignore', 'ipc'] as const
    const program = spawn(process.execPath, args, {
      ...{ cwd: directory, detached: true, stdio: [...stdio] },
      env: { ...process.env, ...env, NODE_V8_COVERAGE: undefined },
    })
    t.after(() => program.kill('SIGKILL'))
    const group = program.pid ?? 0
    program.send({ id: 1, order: 'leak' })
    program.send({ id: 2, order: 'dumpMemory' })
    const child = await untilAtWork({ pid: group, directory })
    process.kill(-group, 'SIGTERM')
    await once(program, 'close')
    await until(() => (isRunning(child) ? undefined : true), 'the end of the child')
    assert.deepEqual(
      artefacts({ directory }, '').filter((name) => name.endsWith('.heapsnapshot')),
      [],
    )
  })

  test('goes on when the signal that orders dumps, or the end of a terminal, reaches the child as well', async (t) => {
    const app = startApp(t, 'forking.js', options, { env })
    const leaked = await app.order<number>('leak')
    const dumping = app.order<Dump>('dumpMemory')
    const child = await untilAtWork(app)
    // As `pkill -f` by the command line, which both have.
    for (const signal of ['SIGUSR2', 'SIGHUP'] as const) process.kill(child, signal)
    const { way, file } = await dumping
    assert.deepEqual([way, instances(file, 'LeakedThing')], ['fork', leaked])
    assert.deepEqual(app.said('failure'), [])
  })

  test('that ends with its group is not made up for by an application that drains: it would stand still', async (t) => {
    const app = startApp(t, 'forking.js', options, { env: { ...env, DRAINS: '1' } })
    await app.order('leak')
    const dumping = app.order('dumpMemory')
    const child = await untilAtWork(app)
    // As a supervisor that signals every process of the group.
    for (const pid of [child, app.pid]) process.kill(pid, 'SIGTERM')
    await app.until('SIGTERM')
    await dumping
    assert.match(app.said('failure')[0]?.message ?? '', /the forked child was ended by signal 15/)
    assert.deepEqual(
      app.said('dump').filter(({ way }) => way !== 'sampling'),
      [],
    )
    assert.deepEqual(files(app, '.partial'), [])
  })

  for (const { watchdog, place } of places) {
    test(`is what an application that exits says of it, and nothing else, watched ${place}`, async (t) => {
      const app = startApp(t, 'forking.js', { ...options, watchdog }, { env })
      await app.order('leak')
      app.order('dumpMemory').catch(() => {})
      const child = await untilAtWork(app)
      // The child is there a moment before its parent has heard of it.
      await app.order('rss')
      app.order('end').catch(() => {})
      assert.deepEqual(await app.ended, { code: 0, signal: null })
      assert.deepEqual(
        app
          .said('line')
          .map(({ text }) => text.replace(`pid ${child}`, 'pid PID'))
          .filter((text) => text.includes('pid PID') || !isOfTheStart(text)),
        [
          'the process exits; its forked child with pid PID completes the heap snapshot, unless a container or service ends with this process',
        ],
      )
      assert.deepEqual([app.said('skip'), app.said('failure'), app.said('dump')], [[], [], []])
      await untilWhole(app)
    })
  }

  test('goes on after a stop of its own, and is no stall', async (t) => {
    const app = startApp(t, 'forking.js', options, { env })
    const leaked = await app.order<number>('leak')
    const dumping = app.order<Dump>('dumpMemory')
    const child = await untilAtWork(app)
    process.kill(child, 'SIGSTOP')
    // Longer than a child that waits on a lock is let be.
    await new Promise((resolve) => setTimeout(resolve, 3500))
    assert.deepEqual(childrenOf(app.pid), [child])
    process.kill(child, 'SIGCONT')
    const { way, file } = await dumping
    assert.deepEqual([way, instances(file, 'LeakedThing')], ['fork', leaked])
  })

  test('does not hold the output of an application that ends', async (t) => {
    const directory = scratch(t)
    const program = spawn(
      'sh',
      [
        '-c',
        // Nobody is left to fork again when the child needs a thread of V8's: so here it has none.
        `${process.execPath} --single-threaded "$0" "$1" | cat; exit 0`,
        fixture('dumps-and-exits.js'),
        JSON.stringify(options),
      ],
      {
        cwd: directory,
        stdio: ['ignore', 'pipe', 'inherit'],
        env: { ...process.env, NODE_V8_COVERAGE: undefined },
      },
    )
    let said = ''
    program.stdout.on('data', (text) => (said += String(text)))
    await once(program, 'close')
    const child = Number(/"child":(\d+)/.exec(said)?.[1])
    assert.ok(isRunning(child), said)
    await untilWhole({ directory })
    assert.deepEqual(files({ directory }, '.partial'), [])
    // Nothing was sampled in so short a life, or there is a profile as well.
    assert.match(
      readdirSync(directory).join(' '),
      /^(\S+profile \S+profile.json )?\S+snapshot \S+snapshot.json$/,
    )
  })

  test('has nobody who answers at its port once the application is gone', async (t) => {
    const app = startApp(t, 'forking.js', options, { env })
    await app.order('leak')
    const { port } = (await app.until('port')) as { port: number }
    app.order('dumpMemory').catch(() => {})
    const child = await untilAtWork(app)
    app.kill('SIGKILL')
    await app.ended
    const socket = connect(port, '127.0.0.1')
    const [error] = (await once(socket, 'error')) as [NodeJS.ErrnoException]
    assert.equal(error.code, 'ECONNREFUSED')
    assert.ok(isRunning(child))
    process.kill(child, 'SIGKILL')
  })
})

function isOfTheStart(line: string): boolean {
  return line.startsWith('watching') || line.startsWith('the memory threshold')
}
