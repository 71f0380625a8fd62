import assert from 'node:assert/strict'
import { createReadStream, readFileSync, statSync } from 'node:fs'
import { basename } from 'node:path'
import { describe, test, type TestContext } from 'node:test'
import type { Dump } from '../../../dist/dispatch/events'
import type { Sidecar } from '../../../dist/files/sidecar'
import { classTotals } from '../../../src/reader/snapshot/analyse'
import { loadHeap } from '../../../src/reader/snapshot/load'
import { WatchedProgram } from './watched-program'

const PARCELS = 1500
const WORKER_FILE = /^manual-memory-\d+-\d+-worker-\d+\.heapsnapshot$/
const MAIN_FILE = /^manual-memory-\d+-\d+\.heapsnapshot$/

async function full(t: TestContext, name: string, more: object = {}): Promise<WatchedProgram> {
  const options = { memory: { threshold: '90gb', sampling: false }, signal: false, ...more }
  const program = new WatchedProgram(t, {
    fixture: 'with-heavy-workers.js',
    args: [JSON.stringify(options), name],
  })
  await program.hearsType('ready')
  return program
}

/** One dump by hand. */
async function dump(program: WatchedProgram) {
  program.child.stdin.write('dump\n')
  const made = (await program.hearsType('dumped'))['result'] as Dump
  const sidecars = made.files.map((file) => JSON.parse(readFileSync(`${file}.json`, 'utf8')) as Sidecar)
  return { made, sidecars, names: made.files.map((file) => basename(file)) }
}

async function parcelsIn(file: string): Promise<number | undefined> {
  const open = () => createReadStream(file)
  const heap = await loadHeap({ open, sizeBytes: statSync(file).size, onProgress: () => undefined })
  return classTotals(heap).get('Parcel')?.count
}

function ended(program: WatchedProgram) {
  program.child.stdin.end()
  return program.exited
}

const isMainAlone = ([name = '', ...others]: readonly string[]): boolean =>
  MAIN_FILE.test(name) && others.length === 0

for (const [where, more] of [
  ['a thread of its own', {}],
  ['the main thread', { watchdog: false }],
] as const) {
  describe(`the heap of a worker, ordered from ${where}`, { concurrency: 1 }, () => {
    test('the worker whose heap it is has the main file, with its class; the main thread has the other', async (t) => {
      const program = await full(t, 'idle', more)
      const { made, sidecars, names } = await dump(program)
      const [guilty, main] = sidecars
      assert.match(names[0] ?? '', WORKER_FILE)
      assert.match(names[1] ?? '', MAIN_FILE)
      assert.equal(names.length, 2)
      assert.deepEqual([guilty?.thread?.kind, guilty?.thread?.name], ['worker', 'cache'])
      assert.ok(names[0]?.includes(`-worker-${guilty?.thread?.id}.`))
      assert.deepEqual(main?.thread, { kind: 'main', id: 0, name: '' })
      assert.equal(await parcelsIn(made.file), PARCELS)
      assert.equal(await parcelsIn(made.files[1] ?? ''), undefined)
      assert.deepEqual([program.types('failure'), program.types('skip')], [[], []])
      assert.deepEqual(await ended(program), { code: 0, signal: null })
      assert.equal(program.stderr, '')
    })

    test('a process whose memory is in the main thread leaves no file of a worker', async (t) => {
      const program = await full(t, 'main', more)
      const { made, names } = await dump(program)
      assert.ok(isMainAlone(names), names.join())
      assert.equal(await parcelsIn(made.file), PARCELS)
    })

    test('a process that exits meanwhile does so with its own code, and leaves what is whole', async (t) => {
      const program = await full(t, 'exits', more)
      program.child.stdin.write('dump\n')
      assert.deepEqual(await program.exited, { code: 5, signal: null })
      assert.ok(isMainAlone(program.files(/heapsnapshot(\.partial)?$/)), program.files(/./).join())
      const [reported, ...others] = program.types('dump')
      assert.ok(isMainAlone((reported?.dump?.files ?? []).map((file) => basename(file))))
      assert.deepEqual([others, program.types('failure'), program.types('skip')], [[], [], []])
    })
  })
}

describe('the heap of a worker', { concurrency: 1 }, () => {
  for (const [name, what] of [
    ['spins', 'that spins in a loop'],
    ['waits', 'that waits in Atomics.wait'],
    ['many', 'among 16 idle ones'],
  ] as const)
    test(`is taken of one ${what}`, async (t) => {
      const { made, names, sidecars } = await dump(await full(t, name))
      assert.deepEqual(
        sidecars.map(({ thread }) => thread?.name),
        ['cache', ''],
      )
      assert.match(names[0] ?? '', WORKER_FILE)
      assert.equal(await parcelsIn(made.file), PARCELS)
    })

  for (const [name, why] of [
    ['ends', /no heap snapshot of worker \d+: the worker ended during the dump/],
    ['refuses', /no heap snapshot of worker \d+: .*not here/],
  ] as const)
    test(`is missing of one that ${name}, with the reason, and the main thread's is there`, async (t) => {
      const program = await full(t, name)
      const { names } = await dump(program)
      assert.ok(isMainAlone(names), names.join())
      const [failure, ...others] = program.types('failure')
      assert.match(failure?.failure?.message ?? '', why)
      assert.deepEqual(others, [])
      assert.ok(isMainAlone(program.files(/heapsnapshot(\.partial)?$/)))
      assert.deepEqual(await ended(program), { code: 0, signal: null })
    })
})
