import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { DumpKind, DumpRequest } from '../../../src/dispatch/events.js'
import * as blockedLoop from '../../../src/thread/blocked-loop.js'

const { BlockedRule } = blockedLoop
const TICKS_PER_S = 4

/** A rule of `blocked: 1000`, which trips after 2 s of silence, and the world around it. */
function newRule() {
  const asked: DumpRequest[] = []
  const world = {
    beats: { count: 1, isDebuggerPossible: false },
    gate: { isHeld: false, isMainThreadAtOrder: false },
    dispatcher: {
      runningKind: undefined as DumpKind | undefined,
      request(request: DumpRequest) {
        asked.push(request)
        return Promise.resolve({ skipped: 'limited' as const })
      },
    },
  }
  const rule = new BlockedRule({ blockedMs: 1000, ...world })
  rule.tick()
  const pass = (seconds: number) => {
    for (let ticks = seconds * TICKS_PER_S; ticks > 0; ticks--) rule.tick()
  }
  const run = (kind: DumpKind | undefined) => {
    world.dispatcher.runningKind = kind
    world.gate.isHeld = kind !== undefined
  }
  return { rule, world, asked, pass, run }
}

test('asks once per episode, with the numbers, and again in the next', () => {
  const { world, asked, pass } = newRule()
  pass(10)
  assert.deepEqual(
    asked.map(({ kind, rule, details }) => ({ kind, rule, details })),
    [{ kind: 'cpu', rule: 'blocked', details: { blockedMs: 1000, silentMs: 2000 } }],
  )
  world.beats.count++
  pass(10)
  assert.equal(asked.length, 2)
})

test('asks for nothing while beats come', () => {
  const { world, asked, pass } = newRule()
  for (let beats = 0; beats < 20; beats++) {
    pass(1.5)
    world.beats.count++
  }
  assert.equal(asked.length, 0)
})

test('a beat ends the dump early, and so does stopping', () => {
  for (const end of ['beat', 'stop']) {
    const { rule, world, asked, pass } = newRule()
    pass(3)
    assert.equal(asked[0]?.early?.aborted, false)
    if (end === 'stop') rule.stop()
    else world.beats.count++
    rule.tick()
    assert.equal(asked[0].early.aborted, true, end)
  }
})

test('a CPU dump that runs during the silence counts, also when it ends before the trip', () => {
  const { asked, pass, run } = newRule()
  pass(1)
  run('cpu')
  pass(0.5)
  run(undefined)
  pass(10)
  assert.equal(asked.length, 0)
})

test('a CPU dump from before the silence does not count', () => {
  const { asked, pass, run } = newRule()
  run('cpu')
  pass(0.5)
  run(undefined)
  pass(10)
  assert.equal(asked.length, 1)
})

test('silence while the main thread is at an order is our own doing; what comes after it counts', () => {
  const { world, asked, pass, run } = newRule()
  run('memory')
  world.gate.isMainThreadAtOrder = true
  pass(10)
  world.gate.isMainThreadAtOrder = false
  run(undefined)
  pass(1)
  assert.equal(asked.length, 0)
  pass(1)
  assert.equal(asked.length, 1)
})

test('silence during a memory dump that leaves the main thread alone counts; its own dump comes at once after it', () => {
  const { asked, pass, run } = newRule()
  run('memory')
  pass(10)
  assert.equal(asked.length, 0)
  run(undefined)
  pass(0.25)
  assert.deepEqual(
    asked.map(({ details }) => details),
    [{ blockedMs: 1000, silentMs: 10_250 }],
  )
})

test('a loop that frees itself during a memory dump has no dump of its own', () => {
  const { world, asked, pass, run } = newRule()
  run('memory')
  pass(10)
  world.beats.count++
  pass(0.25)
  run(undefined)
  pass(1)
  assert.equal(asked.length, 0)
})

test('a dump of another copy of the package is waited for', () => {
  const { world, asked, pass } = newRule()
  pass(1.75)
  world.gate.isHeld = true
  pass(5)
  assert.equal(asked.length, 0)
  world.gate.isHeld = false
  pass(0.25)
  assert.equal(asked.length, 1)
})
