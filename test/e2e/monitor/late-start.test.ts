import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test, type TestContext } from 'node:test'
import { Program, programEnvironment, scratch } from '../../harness/program'

const library = join(__dirname, '../../../dist')

/** The event loop does not turn while this runs. */
const SPIN = 'const until = Date.now() + 3000; while (Date.now() < until);'
const SPIN_UNTIL_DUMPED = `
  const hasDump = () => require('node:fs').readdirSync('.').some((name) => name.endsWith('.cpuprofile'))
  for (const until = Date.now() + 60000; Date.now() < until && !hasDump(); );`
const BUSY = { cpu: { threshold: 30, interval: 500, duration: 500 } }
const IDLE = { cpu: { threshold: 190 } }

/** Runs a program that calls the monitor and then goes on with `body`, in a directory for the dumps. */
function run(t: TestContext, options: object, body: string) {
  const directory = scratch(t)
  const given = JSON.stringify({ profileDir: directory, ...options })
  const code = `const monitor = require(${JSON.stringify(library)})(${given});${body}`
  const { status, stdout, stderr } = spawnSync(process.execPath, ['-e', code], {
    cwd: directory,
    env: programEnvironment(),
    encoding: 'utf8',
    timeout: 60_000,
  })
  return {
    status,
    stdout,
    stderr,
    dumps: readdirSync(directory).filter((name) => name.endsWith('.cpuprofile')),
  }
}

describe('a program that does not return to the event loop', () => {
  test('is not watched by default, and ends as it would without the monitor', (t) => {
    const { status, stderr, dumps } = run(t, BUSY, SPIN)
    assert.deepEqual([status, stderr, dumps], [0, '', []])
  })

  test('is watched with `startAtOnce`', (t) => {
    const { status, dumps } = run(t, { ...BUSY, startAtOnce: true }, SPIN_UNTIL_DUMPED)
    assert.deepEqual([status, dumps.length], [0, 1])
  })

  test('is watched by register with CMM_START_AT_ONCE', async (t) => {
    const directory = scratch(t)
    const env = {
      ...programEnvironment(),
      CMM_PROFILE_DIR: directory,
      CMM_START_AT_ONCE: 'true',
      CMM_CPU_INTERVAL: '500',
      CMM_CPU_DURATION: '500',
      CMM_CPU_THRESHOLD: '30',
      CMM_CPU_COUNTER: '1',
    }
    const register = join(library, 'register.js')
    const program = new Program(t, [process.execPath, '-r', register, '-e', SPIN_UNTIL_DUMPED], {
      env,
      cwd: directory,
    })
    assert.deepEqual(await program.ended, { code: 0, signal: null })
    assert.equal(readdirSync(directory).filter((name) => name.endsWith('.cpuprofile')).length, 1)
  })
})

describe('before the event loop turns', () => {
  test('a second call that watches the same is refused', (t) => {
    const again = `try { require(${JSON.stringify(library)})({ cpu: {} }) } catch (error) { console.log(error.message) }`
    assert.match(run(t, IDLE, again).stdout, /already watches cpu in this process/)
  })

  test('stats() and update() start the rest, with the settings of the call', (t) => {
    const body = `
      monitor.update({ cpu: { counter: 7 } })
      console.log(JSON.stringify(monitor.stats().rules.cpu))`
    const { stdout } = run(t, IDLE, body)
    const { threshold, counter } = JSON.parse(stdout) as { threshold: number; counter: number }
    assert.deepEqual([threshold, counter], [190, 7])
  })

  test('stop() leaves no listener, no claim and nothing that runs', (t) => {
    const body = `
      monitor.stop().then(() => {
        console.log(process.listenerCount('SIGUSR2'))
        require(${JSON.stringify(library)})({ cpu: {}, logger: false })
      })`
    const { status, stdout, stderr } = run(t, { ...IDLE, memory: {} }, body)
    assert.deepEqual([status, stdout.trim(), stderr.includes('already')], [0, '0', false])
  })

  test('a signal makes a dump, and none is made without one', async (t) => {
    const [signalled, spared] = await Promise.all(
      ["process.kill(process.pid, 'SIGUSR2')", ''].map(async (sends) => {
        const directory = scratch(t)
        const file = join(directory, 'program.js')
        // A tick this short has the loop deliver the signal before any timer.
        writeFileSync(
          file,
          `const monitor = require(${JSON.stringify(library)})({ profileDir: ${JSON.stringify(directory)} })
           ${sends}
           monitor.on('dump', () => process.exit())
           setTimeout(() => process.exit(), ${sends ? 60_000 : 3000})`,
        )
        const program = new Program(t, [process.execPath, file], {
          env: programEnvironment(),
          cwd: directory,
        })
        await program.ended
        return readdirSync(directory).filter((name) => name.endsWith('.heapsnapshot')).length
      }),
    )
    assert.deepEqual([signalled, spared], [1, 0])
  })

  test('a thread that the application starts is known by its name in the first dump', (t) => {
    const body = `
      const { Worker } = require('node:worker_threads')
      const worker = new Worker('setInterval(() => { for (const end = Date.now() + 50; Date.now() < end;); }, 50)', {
        eval: true,
        name: 'resizer',
      })
      setTimeout(async () => {
        await monitor.dumpCpu(200)
        process.exit()
      }, 3000)`
    assert.match(run(t, IDLE, body).stderr, /worker 1 'resizer' used/)
  })
})
