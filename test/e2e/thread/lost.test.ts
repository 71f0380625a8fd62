import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { describe, test, type TestContext } from 'node:test'
import type { DumpResult } from '../../../dist/dispatch/events.js'
import { readProfile, WatchedProgram } from './watched-program'

const OPTIONS = { cpu: { threshold: 10_000, interval: 100, duration: 600_000 } }

const lose = (t: TestContext, death: string, options: object = OPTIONS) =>
  new WatchedProgram(t, { fixture: 'loses-its-thread.js', args: [death, JSON.stringify(options)] })

const isLoss = ({ failure }: { failure?: { stage: string } }) => failure?.stage === 'watchdog'

async function stopsCleanly(program: WatchedProgram): Promise<void> {
  program.child.stdin.write('stop\n')
  await program.hearsType('stopped')
  assert.deepEqual(await program.exited, { code: 0, signal: null })
  assert.equal(program.stderr, '')
}

describe('a thread that dies in the middle of a dump', { concurrency: 2 }, () => {
  for (const [death, why] of [
    ['terminate', /exit code 1/],
    ['memory', /memory/],
    ['throws', /the thread failed/],
  ] as const) {
    test(`${death}: said once; the main thread opens the gate and answers who waits`, async (t) => {
      const program = lose(t, death)
      await program.starts()
      program.child.stdin.write('dump 300\n')
      // The thread is lost during that profile, so this is the main thread's.
      const { result } = await program.hearsType('answer')
      const { file } = result as DumpResult & { file: string }
      assert.ok(readProfile(file).samples.length > 0)
      assert.equal(program.said.filter(isLoss).length, 1)
      assert.match(program.said.find(isLoss)?.failure?.message ?? '', why)
      await program.hears(({ line }) => /on the main thread from now on/.test(line ?? ''))
      await stopsCleanly(program)
    })
  }

  test('no descriptor is free for the move: said once, the application lives, and the move comes later', async (t) => {
    const args = ['terminate', JSON.stringify(OPTIONS)]
    const program = new WatchedProgram(t, { fixture: 'loses-its-thread.js', args, env: { HOARDS: '1' } })
    await program.starts()
    execFileSync('prlimit', [`--pid=${program.child.pid}`, '--nofile=100:100'])
    program.child.stdin.write('dump 300\n')
    const { result } = await program.hearsType('answer')
    assert.ok(readProfile((result as DumpResult & { file: string }).file).samples.length > 0)
    const losses = program.said.filter(isLoss).map(({ failure }) => failure?.message ?? '')
    assert.equal(losses.length, 2, String(losses))
    assert.match(losses[1] ?? '', /cannot move to the main thread yet \(tried again every second\): /)
    await stopsCleanly(program)
  })

  test('hands over no budget: the main thread starts with a fresh one', async (t) => {
    // Whatever a starved machine gives the program is above it.
    const cpu = { ...OPTIONS.cpu, threshold: 1, duration: 3000, blocked: false, limiter: [1, 'hour'] }
    const program = lose(t, 'terminate', { cpu })
    await program.starts()
    program.child.stdin.write('hang 1500\n')
    await program.hears(isLoss)
    // Readings of the main thread: it must turn while it is busy, for it watches itself now.
    const { dump } = await hangUntil(program, ({ type }) => type === 'dump')
    assert.equal(dump?.rule, 'threshold')
    const { skip } = await hangUntil(program, ({ type }) => type === 'skip')
    assert.equal(skip?.reason, 'limited')
    await stopsCleanly(program)
  })

  test('an exit in the middle of the next dump leaves that whole, as the thread would have', async (t) => {
    const program = lose(t, 'terminate')
    await program.starts()
    program.child.stdin.write('dump 600000\n')
    await program.hears(isLoss)
    program.child.stdin.write('exit\n')
    assert.deepEqual(await program.exited, { code: 3, signal: null })
    const [said, ...more] = program.types('dump')
    assert.deepEqual(more, [])
    assert.ok(readProfile(said?.dump?.file ?? '').samples.length > 0)
    assert.equal(program.stderr, '')
  })

  test('a thread that does not die moves nothing', async (t) => {
    const program = lose(t, 'throws', { ...OPTIONS, cpu: { ...OPTIONS.cpu, threshold: 10_000 } })
    await program.starts()
    await stopsCleanly(program)
    assert.deepEqual(program.types('failure'), [])
  })
})

async function hangUntil(program: WatchedProgram, passes: Parameters<WatchedProgram['hears']>[0]) {
  const nudge = setInterval(() => program.child.stdin.write('hang 90\n'), 100)
  try {
    return await program.hears(passes)
  } finally {
    clearInterval(nudge)
  }
}
