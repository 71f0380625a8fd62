import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { describe, test, type TestContext } from 'node:test'
import { programEnvironment } from '../../harness/program'
import { attachDebugger } from './debugger-client'
import { LEAST_SHARE, readProfile, shareOf, watch, WatchedProgram } from './watched-program'

const ROOT = resolve(__dirname, '../../..')
const FIXTURES = resolve(ROOT, 'test/e2e/thread/programs')
const BLOCKED_ONLY = { cpu: { threshold: 10_000, blocked: 1000, duration: 300 } }
const NODE_MAJOR = Number.parseInt(process.versions.node, 10)
const PERMISSION = NODE_MAJOR < 22 ? '--experimental-permission' : '--permission'

async function catchesAHang(program: WatchedProgram): Promise<void> {
  await program.starts()
  // Far longer than the profile, which begins late on a machine with other work.
  program.child.stdin.write('6000')
  const { dump } = await program.hearsType('dump')
  assert.equal(dump?.rule, 'blocked')
  assert.ok(shareOf(readProfile(dump.file), 'hang') > LEAST_SHARE)
  await stops(program)
}

async function stops(program: WatchedProgram): Promise<void> {
  program.child.stdin.write('stop')
  await program.hearsType('stopped')
  assert.deepEqual(await program.exited, { code: 0, signal: null })
}

async function watchesFromTheMainThread(program: WatchedProgram, why: RegExp): Promise<void> {
  const { line } = await program.hears(({ line }) => /^watching/.test(line ?? ''))
  assert.match(line ?? '', /on the main thread, because the watchdog thread could not be started/)
  assert.match(line ?? '', why)
  assert.equal(program.said.filter(({ line }) => why.test(line ?? '')).length, 1, 'the reason is said once')
}

function coverageDirectory(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'coverage-'))
  t.after(() => rmSync(directory, { recursive: true, force: true }))
  return directory
}

interface Coverage {
  readonly result: readonly {
    readonly url: string
    readonly functions: readonly {
      readonly functionName: string
      readonly ranges: readonly {
        readonly startOffset: number
        readonly endOffset: number
        readonly count: number
      }[]
    }[]
  }[]
}

/** How often each range of `covered.js` ran, from the one file that its process leaves. */
async function coverageOf(t: TestContext, watchdog: boolean) {
  const directory = coverageDirectory(t)
  const env = programEnvironment({ NODE_V8_COVERAGE: directory })
  const program = new WatchedProgram(t, { fixture: 'covered.js', args: [JSON.stringify({ watchdog })], env })
  assert.deepEqual(await program.exited, { code: 0, signal: null })
  assert.equal(program.types('dump').length, 1)
  const [file = '', ...more] = readdirSync(directory)
  assert.deepEqual(more, [], 'one file for one process')
  const { result } = JSON.parse(readFileSync(join(directory, file), 'utf8')) as Coverage
  const script = result.find(({ url }) => url.endsWith('covered.js')) ?? assert.fail('it is not covered')
  return script.functions.map(({ functionName, ranges }) => ({
    functionName,
    offsets: ranges.map(({ startOffset, endOffset }) => [startOffset, endOffset]),
    counts: ranges.map(({ count }) => count),
  }))
}

describe('the thread', { concurrency: 2 }, () => {
  test('works with the inspector open', async (t) => {
    await catchesAHang(watch(t, BLOCKED_ONLY, 'onDemand', { flags: ['--inspect=0'] }))
  })

  test('takes a pause in the debugger for nothing', async (t) => {
    const program = watch(t, BLOCKED_ONLY, 'onDemand', { flags: ['--inspect=0'] })
    await program.hearsType('turns')
    const url = /ws:\S+/.exec(program.stderr)?.[0] ?? assert.fail(program.stderr)
    const client = await attachDebugger(url)
    client.send('Debugger.enable')
    client.send('Debugger.pause')
    await new Promise((later) => setTimeout(later, 4000))
    assert.deepEqual(program.types('turns').length, 1, 'it stands')
    client.send('Debugger.resume')
    client.send('Debugger.disable')
    client.end()
    await stops(program)
    assert.deepEqual(program.files(), [])
  })

  test('works under coverage, and writes none of its own', async (t) => {
    const directory = coverageDirectory(t)
    const env = programEnvironment({ NODE_V8_COVERAGE: directory })
    await catchesAHang(watch(t, BLOCKED_ONLY, 'onDemand', { env }))
    assert.equal(readdirSync(directory).length, 1)
  })

  test('changes nothing in what an application covers, as long as there is no CPU dump', async (t) => {
    const [withThread, without] = [await coverageOf(t, true), await coverageOf(t, false)]
    assert.deepEqual(withThread, without)
    assert.ok(withThread.some(({ functionName, counts }) => functionName === 'runsLater' && counts[0] === 1))
    assert.ok(withThread.some(({ functionName, counts }) => functionName === 'neverRuns' && counts[0] === 0))
  })

  for (const [name, flag] of [
    ['--require', 'says-where-it-runs.cjs'],
    ['--import', 'says-where-it-runs.mjs'],
  ] as const) {
    test(`does not run the application's ${name} again`, async (t) => {
      const file = join(FIXTURES, flag)
      const env = programEnvironment({ NODE_OPTIONS: `${name} ${file}` })
      for (const given of [{ env }, { flags: [name, file] }]) {
        const program = watch(t, BLOCKED_ONLY, 'sleep', given)
        await program.starts()
        await stops(program)
        assert.deepEqual(
          program.types('preload').map(({ isMainThread }) => isMainThread),
          [true],
        )
        assert.equal(program.stderr, '')
      }
    })
  }

  test('works where code from strings is forbidden', async (t) => {
    const flags = ['--disallow-code-generation-from-strings']
    const program = watch(t, { memory: { threshold: '10gb' } }, 'sleep', { flags })
    await program.starts()
    program.child.kill('SIGUSR2')
    const { dump } = await program.hearsType('dump')
    assert.equal(dump?.kind, 'memory')
    await stops(program)
  })

  test('works without PATH', async (t) => {
    await catchesAHang(watch(t, BLOCKED_ONLY, 'onDemand', { env: {} }))
  })

  test('works when the application replaces timers, clocks, Promise and JSON', async (t) => {
    const program = new WatchedProgram(t, { fixture: 'patched-globals.js' })
    const { dump } = await program.hearsType('dump')
    assert.equal(dump?.rule, 'blocked')
    assert.equal(program.files().length, 1, 'the fake clock itself is no blocked loop')
    program.child.stdin.write('go')
    const { kind, message } = await program.hearsType('answer')
    assert.equal(kind, 'memory', String(message))
    await program.hearsType('stopped')
  })

  test('works in process 1 of a namespace', async (t) => {
    const unshare = ['unshare', '--pid', '--fork', '--mount-proc'] as const
    if (spawnSync(unshare[0], [...unshare.slice(1), 'true']).status !== 0) {
      t.skip('process namespaces are not to be had here')
      return
    }
    const watched = join(FIXTURES, 'watched.js')
    const command = [...unshare, process.execPath, watched, JSON.stringify(BLOCKED_ONLY), 'onDemand'] as const
    const program = new WatchedProgram(t, { command })
    await catchesAHang(program)
    assert.match(program.files()[0] ?? '', /^blocked-cpu-1-/)
  })
})

describe('a clock that stands still in the application', { concurrency: 2 }, () => {
  for (const watchdog of [true, false]) {
    test(`stops no dump, reading or stop(), watched ${watchdog ? 'on its own' : 'on the main'} thread`, async (t) => {
      const cpu = { threshold: 20, interval: 100, duration: 200, blocked: false, limiter: [1, 'hour'] }
      const options = JSON.stringify({ cpu, watchdog })
      const program = new WatchedProgram(t, { fixture: 'fake-clock.js', args: [options] })
      assert.deepEqual(await program.exited, { code: 0, signal: null })
      assert.equal(program.types('stopped').length, 1, `${JSON.stringify(program.said)} ${program.stderr}`)
      const dumps = program.types('dump').map(({ dump }) => dump)
      assert.deepEqual(
        dumps.map((dump) => [dump?.rule, dump?.kind]),
        [
          ['threshold', 'cpu'],
          ['manual', 'cpu'],
          ['manual', 'memory'],
        ],
      )
      assert.ok((dumps[1]?.durationMs ?? 0) >= 300)
      const { startTime, endTime } = readProfile(dumps[1]?.file ?? '')
      assert.ok(endTime - startTime >= 290_000, 'it was recorded for as long as was asked')
    })
  }
})

describe('where no thread can be had, the main thread takes over and says why', { concurrency: 2 }, () => {
  test('under the permission model', async (t) => {
    const flags = [PERMISSION, '--allow-fs-read=*', '--allow-fs-write=*']
    const program = watch(t, BLOCKED_ONLY, 'sleep', { flags })
    await watchesFromTheMainThread(program, /--permission refuses the inspector/)
    await stops(program)
  })

  test('under the permission model with threads and without the inspector, where a session would abort the process', async (t) => {
    const flags = [PERMISSION, '--allow-worker', '--allow-fs-read=*', '--allow-fs-write=*']
    const program = watch(t, BLOCKED_ONLY, 'sleep', { flags })
    await watchesFromTheMainThread(program, /--permission refuses the inspector/)
    await stops(program)
  })

  test('under the permission model, where the start line does not promise what needs the inspector', async (t) => {
    const flags = [PERMISSION, '--allow-fs-read=*', '--allow-fs-write=*']
    const program = watch(t, { ...BLOCKED_ONLY, memory: {} }, 'sleep', { flags })
    const { line } = await program.hears(({ line }) => /^watching/.test(line ?? ''))
    assert.match(line ?? '', /cpu above .* by nothing\); memory above .* by v8[),]/)
    assert.match(line ?? '', /; not used: .*inspector \(--permission refuses the inspector\)/)
    assert.match(line ?? '', /sampling \(--permission refuses the inspector\)/)
    await stops(program)
    assert.deepEqual(
      program.said.filter(({ type }) => type === 'failure'),
      [],
    )
  })

  test('under the permission model with nothing to read but the application', async (t) => {
    const flags = [PERMISSION, `--allow-fs-read=${ROOT}`, '--allow-fs-write=*']
    const program = watch(t, BLOCKED_ONLY, 'sleep', { flags })
    await watchesFromTheMainThread(program, /--permission refuses the inspector/)
    await stops(program)
  })

  test('in a bundle', async (t) => {
    const bundle = mkdtempSync(join(tmpdir(), 'bundle-'))
    t.after(() => rmSync(bundle, { recursive: true, force: true }))
    const esbuild = resolve(ROOT, 'node_modules/.bin/esbuild')
    const outfile = join(bundle, 'bundled.cjs')
    const flags = ['--bundle', '--platform=node', '--log-level=error', `--outfile=${outfile}`]
    execFileSync(esbuild, [join(FIXTURES, 'watched.js'), ...flags])
    const options = JSON.stringify({ cpu: { threshold: 1, interval: 100, duration: 300 } })
    const program = new WatchedProgram(t, { command: [process.execPath, outfile, options, 'onDemand'] })
    await watchesFromTheMainThread(program, /was the package bundled/)
    program.child.stdin.write('500')
    const { dump } = await program.hearsType('dump')
    assert.equal(dump?.rule, 'threshold')
    await stops(program)
  })

  test('with watchdog: false, without a reason', async (t) => {
    const program = watch(t, { ...BLOCKED_ONLY, watchdog: false }, 'sleep')
    const { line } = await program.hears(({ line }) => /^watching/.test(line ?? ''))
    assert.match(line ?? '', /on the main thread \(a blocked event loop is not detected there\)/)
    await stops(program)
  })
})
