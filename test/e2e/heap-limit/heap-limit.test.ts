import assert from 'node:assert/strict'
import { join } from 'node:path'
import { describe } from 'node:test'
import * as v8 from 'node:v8'
import { artefacts, files, scratch, sidecarOf } from '../monitor/app'
import {
  type Death,
  die,
  diesLike,
  it,
  programs,
  textOf,
  untilKept,
  untilWritten,
  WATCHED,
} from './heap-limit'

const SHAPES = [
  { shape: 'burst', shows: 'LeakedOrder' },
  { shape: 'slow', shows: 'LeakedOrder' },
  { shape: 'array', shows: '(object elements)' },
  { shape: 'json', shows: 'Array' },
  { shape: 'strings', shows: 'Array' },
  { shape: 'closures', shows: 'context' },
  { shape: 'maps', shows: 'LeakedOrder' },
  { shape: 'arrays', shows: 'Array' },
  { shape: 'ropes', shows: 'of a rope' },
  { shape: 'buffers', shows: 'LeakedOrder' },
]

describe("a process that reaches V8's heap limit", () => {
  for (const { shape, shows } of SHAPES) {
    it(`leaves a profile and a snapshot and dies as it would have: ${shape}`, async (t) => {
      const twin = await die(t, { shape, options: 'none' })
      const death = await die(t, { shape })
      diesLike(death, twin)
      const names = await untilWritten(death)
      const base = `heap-limit-memory-${death.pid}-`
      assert.deepEqual(
        names.map((name) => name.startsWith(base) && name.replace(/.*\./, '.')),
        ['.heapprofile', '.heapsnapshot'],
      )
      assert.ok(textOf(death, '.heapsnapshot').includes(shows))
      for (const name of names)
        assert.ok(death.line?.includes(name.replace(/\.heapsnapshot$/, '')), death.line)
    })
  }

  it('describes itself in the evidence', async (t) => {
    const death = await die(t)
    const [profile = '', snapshot = ''] = await untilWritten(death)
    for (const name of [profile, snapshot]) {
      const { why, where, how } = sidecarOf(join(death.directory, name))
      assert.equal(why.rule, 'heap-limit')
      assert.equal(why.details['heapLimit'], 20 * 1024 * 1024)
      assert.ok(why.readings.length >= 1)
      assert.deepEqual([where.pid, where.directory], [death.pid, death.directory])
      assert.ok(how.sizeBytes > 0)
    }
    assert.equal(sidecarOf(join(death.directory, profile)).how.way, 'sampling')
    assert.equal(sidecarOf(join(death.directory, snapshot)).how.way, 'fork')
  })

  it('writes a snapshot alone when sampling is off', async (t) => {
    const death = await die(t, { options: { ...WATCHED, memory: { sampling: false } } })
    const names = await untilWritten(death)
    assert.deepEqual(
      names.map((name) => name.replace(/.*\./, '.')),
      ['.heapsnapshot'],
    )
  })

  it('creates its directory, started without code, where that is left alone until a dump', async (t) => {
    const directory = join(scratch(t), 'of', 'the-pod')
    const env = { CMM_PROFILE_DIR: directory, CMM_MEMORY_THRESHOLD: '20gb' }
    const register = join(__dirname, '../../../dist/register.js')
    const death = await die(t, { options: 'none', execArgv: ['--require', register], env, args: ['2000'] })
    assert.match(death.line ?? '', /heap-limit-memory-/)
    const names = await untilWritten(death, directory)
    assert.ok(
      names.some((name) => name.endsWith('.heapsnapshot')),
      death.stderr,
    )
  })

  it('does the same with its watch on the main thread', async (t) => {
    const death = await die(t, { shape: 'slow', options: { ...WATCHED, watchdog: false } })
    assert.equal((await untilWritten(death)).length, 2)
  })

  it('says so when no name is accepted for its files, though the disk has space', async (t) => {
    const execArgv = ['--require', join(programs, 'refuses-names.js')]
    const refused = await die(t, { execArgv, env: { CMM_TEST_REFUSES: 'creation' } })
    assert.ok(
      refused.line?.endsWith(`no dump: the forked child could not create its file in ${refused.directory}`),
      refused.line,
    )
    assert.deepEqual(files(refused), [])
  })

  it('keeps complete files that get no final name, and the next start names them', async (t) => {
    const execArgv = ['--require', join(programs, 'refuses-names.js')]
    const death = await die(t, { execArgv, env: { CMM_TEST_REFUSES: 'final' } })
    const kept = await untilKept(death)
    const { directory } = death
    const next = await die(t, { directory, program: 'waits.js', args: ['4000'], limitMb: 200 })
    for (const name of kept)
      assert.ok(next.stderr.includes(`${join(directory, name)} is complete, but`), next.stderr)
    assert.deepEqual(files(next), kept)
  })

  it('writes no line with `logger: false`', async (t) => {
    const options = { ...WATCHED, logger: false }
    for (const program of ['program.js', 'at-start.js']) {
      const death = await die(t, { program, options, args: ['2000'] })
      assert.equal(death.line, undefined)
      assert.equal((await untilWritten(death)).length, 2)
    }
  })

  for (const program of ['at-start.js', 'in-try.js', 'in-a-promise.js', 'in-a-vm.js', 'busy.js']) {
    it(`dies and leaves its evidence: ${program}`, async (t) => {
      const twin = await die(t, { program, options: 'none' })
      const death = await die(t, { program })
      diesLike(death, twin)
      assert.equal(death.stdout, twin.stdout)
      assert.equal((await untilWritten(death)).length, 2)
    })
  }

  for (const flag of ['--abort-on-uncaught-exception', '--report-on-fatalerror']) {
    it(`dies and leaves its evidence under ${flag}`, async (t) => {
      const execArgv = [flag]
      const [twin, death] = [await die(t, { execArgv, options: 'none' }), await die(t, { execArgv })]
      diesLike(death, twin)
      assert.equal((await untilWritten(death)).length, 2)
      const reports = (each: Death) => files(each).filter((name) => name.startsWith('report.')).length
      assert.equal(reports(death), reports(twin))
    })
  }
})

describe("the core dump of a process that reaches V8's heap limit", () => {
  const isCore = (name: string): boolean => name.startsWith('core')
  /** The shell reports the flag of waitpid(2) in words. */
  const through = ['bash', '-c', 'ulimit -c "$0"; "$@"; exit $?', 'unlimited']
  const isDumped = ({ stderr }: Death): boolean => /\(core dumped\)/.test(stderr)

  it('is made as without the monitor, and none of its child', async (t) => {
    const twin = await die(t, { through, options: 'none' })
    if (!isDumped(twin)) return t.skip('the kernel made no core dump: see /proc/sys/kernel/core_pattern')
    const death = await die(t, { through })
    assert.equal(isDumped(death), true, death.stderr)
    assert.equal(death.code, twin.code)
    await untilWritten(death)
    assert.equal(files(death).filter(isCore).length, files(twin).filter(isCore).length)
  })

  it('is not made where the limit forbids it', async (t) => {
    const death = await die(t, { through: [...through.slice(0, 3), '0'] })
    assert.equal(isDumped(death), false)
    await untilWritten(death)
    assert.deepEqual(files(death).filter(isCore), [])
  })
})

describe("nothing is written at V8's heap limit", () => {
  const leavesNothing = (death: Death): void => {
    assert.deepEqual(artefacts(death), [])
    assert.equal(death.line, undefined)
  }

  it('when the limit is not reached', async (t) => {
    const death = await die(t, { program: 'recovers.js' })
    assert.equal(death.code, 0, death.stderr)
    leavesNothing(death)
  })

  it('with `heapLimit: false`', async (t) => {
    leavesNothing(await die(t, { options: { ...WATCHED, memory: { heapLimit: false } } }))
  })

  it('without a `memory` key', async (t) => {
    leavesNothing(await die(t, { options: { signal: false } }))
  })

  it("when Node's own flag is given: Node writes its snapshot", async (t) => {
    // Time for the start line, which comes in a later turn of the event loop.
    const death = await die(t, { execArgv: ['--heapsnapshot-near-heap-limit=1'], args: ['2000'] })
    assert.equal(files(death, 'heap-limit-').length, 0)
    assert.match(death.stderr, /left to --heapsnapshot-near-heap-limit/)
  })

  it("when Node's own flag is given by NODE_OPTIONS", async (t) => {
    const death = await die(t, { env: { NODE_OPTIONS: '--heapsnapshot-near-heap-limit=1' } })
    assert.equal(death.line, undefined)
    assert.equal(files(death, 'heap-limit-').length, 0)
  })

  it('without the fork helper, but what Node itself can write', async (t) => {
    // Time for the start line.
    const death = await die(t, { execArgv: ['--no-addons'], args: ['2000'] })
    assert.equal(death.line, undefined)
    assert.deepEqual(files(death, 'heap-limit-'), [])
    const isNodeAble = 'setHeapProfileNearHeapLimit' in v8
    assert.match(
      death.stderr,
      isNodeAble ? /limit: heap profile by Node\.js to/ : /limit: no dump will be written \(/,
    )
    assert.equal(files(death, 'Heap.').length, isNodeAble ? 1 : 0)
  })

  it('after update() has taken the budget away', async (t) => {
    const death = await die(t, { program: 'updated.js', options: { ...WATCHED, memory: { interval: 100 } } })
    assert.match(death.line ?? '', /no dump: limited: 0 of 0 allowed dumps were made within 3600 s$/)
    assert.deepEqual(artefacts(death), [])
  })

  it('when a worker thread reaches a limit of its own', async (t) => {
    const death = await die(t, { program: 'worker-limit.js', limitMb: 200 })
    assert.equal(death.code, 0, death.stderr)
    assert.match(death.stdout, /ERR_WORKER_OUT_OF_MEMORY/)
    leavesNothing(death)
  })

  it('after stop()', async (t) => {
    const death = await die(t, { program: 'stopped.js' })
    leavesNothing(death)
    assert.equal(death.signal ?? death.code, (await die(t, { options: 'none' })).signal ?? 'SIGABRT')
  })
})
