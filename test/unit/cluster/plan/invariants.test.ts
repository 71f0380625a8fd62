import assert from 'node:assert/strict'
import test from 'node:test'
import fc from 'fast-check'
import { isOver } from '../../../../src/cluster/plan/slot'
import { MB, Stage } from './stage'

type Move = readonly [what: string, which: number, ms: number]

const MOVES = [
  'announce',
  'over',
  'fall',
  'exit',
  'kill',
  'drained',
  'asked',
  'closed',
  'wait',
  'disconnect',
] as const

const moves = fc.array(fc.tuple(fc.constantFrom(...MOVES), fc.nat(7), fc.nat(12_000)), { maxLength: 120 })

function play(stage: Stage, [what, which, ms]: Move): void {
  const keys = [...stage.reconciler.slots.keys()]
  const key = keys[which % Math.max(1, keys.length)] ?? 0
  const slot = stage.reconciler.slots.get(key)
  if (what === 'announce') stage.announce(key)
  if (what === 'over' && slot?.state === 'ready') stage.over(key)
  if (what === 'fall') stage.give({ type: 'reading', key, rssBytes: 50 * MB })
  if (what === 'exit') stage.exit(key, which % 2)
  if (what === 'kill') stage.exit(key, null, 'SIGKILL')
  if (what === 'drained' && slot?.state === 'draining') stage.exit(key)
  if (what === 'asked') stage.give({ type: 'asked', key })
  if (what === 'closed' && slot?.state === 'draining') stage.give({ type: 'closed', key })
  if (what === 'disconnect') stage.give({ type: 'disconnected', key })
  if (what === 'wait') stage.pass(ms)
  for (const killed of stage.killed)
    if (stage.reconciler.slots.has(killed)) stage.exit(killed, null, 'SIGKILL')
}

function checkNow(stage: Stage, count: number, maxSurge: 0 | 1): void {
  // A worker that has cut itself off and lives on does not count, and has a deadline.
  const slots = [...stage.reconciler.slots.values()].filter(({ state }) => state !== 'leaving')
  const draining = slots.filter((slot) => slot.state === 'draining')
  assert.ok(slots.length <= count + 1, `${slots.length} processes for ${count}: ${stage.states().join(', ')}`)
  assert.ok(draining.length <= 1, `two drain at once: ${stage.states().join(', ')}`)
  if (maxSurge === 0) assert.equal(stage.reconciler.standIn, undefined)
}

/** Every worker that starts comes up, every one that drains goes. */
function calmDown(stage: Stage): void {
  for (let round = 0; round < 200; round += 1) {
    for (const [key, slot] of [...stage.reconciler.slots]) {
      if (slot.state === 'starting') stage.announce(key)
      if (slot.state === 'draining' || slot.state === 'leaving') stage.exit(key)
    }
    stage.pass(1000)
  }
}

/** The workers of now send nothing more, in whatever state they are; later ones come up and go. SIGKILL ends every one. */
function fallSilent(stage: Stage): void {
  const silent = new Set(stage.reconciler.slots.keys())
  for (let round = 0; round < 600; round += 1) {
    for (const [key, slot] of [...stage.reconciler.slots]) {
      if (stage.killed.includes(key)) stage.exit(key, null, 'SIGKILL')
      else if (silent.has(key)) continue
      else if (slot.state === 'starting') stage.announce(key)
      else if (slot.state !== 'ready') stage.exit(key)
    }
    stage.pass(1000)
  }
}

for (const maxSurge of [1, 0] as const) {
  test(`whatever happens (maxSurge ${maxSurge}): one drains at a time, never one too many, and in the end all serve`, () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 4 }), moves, (count, script) => {
        const stage = new Stage({ count, maxSurge })
        for (const move of script) {
          play(stage, move)
          checkNow(stage, count, maxSurge)
        }
        calmDown(stage)
        const ready = [...stage.reconciler.slots.values()].filter(
          ({ key, state }) => state === 'ready' && key !== stage.reconciler.standIn,
        )
        assert.equal(ready.length, count, stage.states().join(', '))
        assert.equal(stage.reconciler.slots.size, count)
      }),
      { numRuns: 500 },
    )
  })

  test(`whoever falls silent (maxSurge ${maxSurge}): no replacement waits for it, all over the limit are replaced`, () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 4 }), moves, (count, script) => {
        const stage = new Stage({ count, maxSurge })
        for (const move of script) play(stage, move)
        fallSilent(stage)
        const slots = [...stage.reconciler.slots.values()]
        assert.equal(slots.length, count, stage.states().join(', '))
        for (const slot of slots)
          assert.ok(slot.state === 'ready' && !isOver(slot), stage.states().join(', '))
      }),
      { numRuns: 500 },
    )
  })

  test(`a planned replacement never takes from the workers that serve (maxSurge ${maxSurge})`, () => {
    fc.assert(
      fc.property(moves, (script) => {
        const stage = new Stage({ count: 3, maxSurge }).settled()
        for (const move of script.filter(
          ([what]) => what !== 'exit' && what !== 'kill' && what !== 'disconnect',
        )) {
          play(stage, move)
          const ready = [...stage.reconciler.slots.values()].filter((slot) => slot.state === 'ready')
          assert.ok(ready.length >= 2 + maxSurge, stage.states().join(', '))
        }
      }),
      { numRuns: 300 },
    )
  })
}
