import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { basename } from 'node:path'
import { describe, test, type TestContext } from 'node:test'
import type { Dump } from '../../../dist/dispatch/events'
import type { Sidecar } from '../../../dist/files/sidecar'
import { attachDebugger } from './debugger-client'
import { LEAST_SHARE, readProfile, shareOf, WatchedProgram } from './watched-program'

const NODE_MAJOR = Number.parseInt(process.versions.node, 10)
const CAN_ALLOW_INSPECTOR = process.allowedNodeEnvironmentFlags.has('--allow-inspector')
const QUIET = { cpu: { threshold: 100_000, blocked: false } }

interface Note {
  readonly id: number
  readonly name: string
  readonly cpuMs?: number
  readonly why?: string
}

/** One dump by hand of a program with workers. */
async function dump(t: TestContext, name: string, options: object = {}, ms = 2500) {
  const program = new WatchedProgram(t, {
    fixture: 'with-workers.js',
    args: [JSON.stringify({ ...QUIET, ...options }), name],
  })
  await program.hearsType('ready')
  program.child.stdin.write(`dump ${ms}\n`)
  const { result } = await program.hearsType('dumped')
  return { program, ...described(result as Dump) }
}

function described(dump: Dump) {
  const sidecars = dump.files.map((file) => JSON.parse(readFileSync(`${file}.json`, 'utf8')) as Sidecar)
  const main = sidecars.find(({ thread }) => thread?.kind === 'main')
  const notes = (main?.how.notes?.['workers'] ?? []) as Note[]
  return { dump, sidecars, notes, names: sidecars.map(({ thread }) => thread?.name) }
}

const WORKER_FILE = /^manual-cpu-\d+-\d+-worker-\d+\.cpuprofile$/

function ended(program: WatchedProgram) {
  program.child.stdin.end()
  return program.exited
}

for (const [where, more] of [
  ['a thread of its own', {}],
  ['the main thread', { watchdog: false }],
] as const) {
  describe(`the workers' profiles, ordered from ${where}`, { concurrency: 1 }, () => {
    test('hot: the worker that used the CPU has the main file, and idle workers have none', async (t) => {
      const { program, dump: made, sidecars, names } = await dump(t, 'hot', more)
      assert.match(basename(made.file), WORKER_FILE)
      assert.deepEqual(names, ['resizer', ''])
      const [guilty, main] = sidecars
      assert.equal(guilty?.thread?.kind, 'worker')
      assert.ok(basename(made.file).includes(`-worker-${guilty?.thread?.id}.`))
      assert.deepEqual(main?.thread, { kind: 'main', id: 0, name: '' })
      assert.ok(shareOf(readProfile(made.file), 'guiltyWorker') > LEAST_SHARE)
      assert.ok(!readFileSync(made.files[1] ?? '', 'utf8').includes('guiltyWorker'))
      assert.deepEqual(program.files().length, 2)
      assert.deepEqual(await ended(program), { code: 0, signal: null })
      assert.equal(program.stderr, '')
    })

    test('idle: only the main thread has a file', async (t) => {
      const { program, dump: made, names, notes } = await dump(t, 'idle', more, 1500)
      assert.deepEqual([names, notes], [[''], []])
      assert.match(basename(made.file), /^manual-cpu-\d+-\d+\.cpuprofile$/)
      assert.deepEqual(await ended(program), { code: 0, signal: null })
    })
  })
}

describe("the workers' profiles", { concurrency: 1 }, () => {
  test('many: 64 idle workers beside one that spins leave one file', async (t) => {
    const { names } = await dump(t, 'many', {}, 4000)
    assert.deepEqual(names, ['the one', ''])
  })

  test('names: the name is in the sidecar as it is, and the file name has only the number', async (t) => {
    const { dump: made, names } = await dump(t, 'names')
    assert.equal(names[0], '../../etc/passwd\n"')
    assert.match(basename(made.file), WORKER_FILE)
  })

  test('kinds: limited, quiet, ES module and nested workers have theirs', async (t) => {
    const { dump: made, names } = await dump(t, 'kinds', {}, 5000)
    assert.deepEqual([...names].sort(), ['', 'limited', 'module', 'nested', 'quiet'])
    for (const file of made.files)
      if (WORKER_FILE.test(basename(file)))
        assert.ok(shareOf(readProfile(file), 'guiltyWorker') > LEAST_SHARE)
  })

  test('native: a worker inside one long native call is named, and costs the others nothing', async (t) => {
    const { names, notes } = await dump(t, 'native')
    assert.deepEqual(names, ['spins', ''])
    const stuck = notes.find(({ name }) => name === 'stuck')
    assert.match(stuck?.why ?? '', /one long native call/)
  })

  test('births: workers that are born and end during the dump hurt nothing', async (t) => {
    const { program, names } = await dump(t, 'births', {}, 4000)
    assert.ok(names.includes('lasting'), names.join())
    assert.deepEqual(program.types('failure'), [])
    assert.deepEqual(await ended(program), { code: 0, signal: null })
  })

  test('late: a worker that is born during the dump and spins has its file', async (t) => {
    const { names, sidecars } = await dump(t, 'late', {}, 4000)
    const late = sidecars.find(({ thread }) => thread?.name === 'late')
    assert.ok(late, names.join())
    assert.ok(Number(late.how.notes?.['startedLateMs']) > 300)
  })

  test('debugged: another user of the inspector, and a debugger that is attached, keep what they have', async (t) => {
    const program = new WatchedProgram(t, {
      fixture: 'with-workers.js',
      args: [JSON.stringify(QUIET), 'debugged'],
      flags: ['--inspect=0'],
    })
    await program.hearsType('ready')
    const [url = ''] = /ws:\S+/.exec(program.stderr) ?? []
    const attached = await attachDebugger(url)
    attached.send('Debugger.enable')
    program.child.stdin.write('dump 2500\n')
    const { result } = await program.hearsType('dumped')
    const { names } = described(result as Dump)
    assert.deepEqual(names, ['debugged', ''])
    const { samples } = await program.hearsType('theirs')
    assert.ok(Number(samples) > 0)
    attached.end()
    assert.deepEqual(await ended(program), { code: 0, signal: null })
  })

  test('mainToo: both have a file while the main thread does not turn', async (t) => {
    const program = new WatchedProgram(t, {
      fixture: 'with-workers.js',
      args: [
        JSON.stringify({ cpu: { threshold: 20, interval: 500, duration: 3000, blocked: false } }),
        'mainToo',
      ],
    })
    const file = await program.leaves(/worker-\d+\.cpuprofile$/)
    const main = await program.leaves(/^cpu-\d+-\d+\.cpuprofile$/)
    assert.ok(shareOf(readProfile(file), 'guiltyWorker') > LEAST_SHARE)
    assert.ok(shareOf(readProfile(main), 'guiltyMain') > LEAST_SHARE)
  })

  test('permission: under the permission model as without it, or one failure that names what is refused', async (t) => {
    const flags = [
      '--allow-worker',
      '--allow-addons',
      '--allow-fs-read=*',
      '--allow-fs-write=*',
      '--no-warnings',
    ]
    const flag = NODE_MAJOR < 22 ? '--experimental-permission' : '--permission'
    const program = new WatchedProgram(t, {
      fixture: 'with-workers.js',
      args: [JSON.stringify(QUIET), 'hot'],
      flags: [flag, ...flags, ...(CAN_ALLOW_INSPECTOR ? ['--allow-inspector'] : [])],
    })
    await program.hearsType('ready')
    program.child.stdin.write('dump 2500\n')
    if (!CAN_ALLOW_INSPECTOR) {
      const { failure } = await program.hearsType('failure')
      assert.match(failure?.message ?? '', /--permission refuses the inspector/)
    } else {
      const { result } = await program.hearsType('dumped')
      assert.deepEqual(described(result as Dump).names, ['resizer', ''])
    }
    assert.deepEqual(await ended(program), { code: 0, signal: null })
    assert.equal(program.types('failure').length, CAN_ALLOW_INSPECTOR ? 0 : 1)
  })

  test('pool: of the workers of a pool, the one with tasks has a file, and the one that waits has none', async (t) => {
    const { names } = await dump(t, 'pool', {}, 3000)
    assert.deepEqual([...names].sort(), ['', 'pooled'])
  })
})
