import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Evidence } from '../../../src/files/expiry'
import {
  CHILD_DEADLINE_MS,
  childDeadlineMs,
  chooseExpired,
  isStalePartial,
  STALE_GRACE_MS,
  TOOL,
} from '../../../src/files/expiry'

const PLACE = { host: 'here', directory: '/dumps' }
const NOW = { nowMs: 1_000_000 }

function evidence(fileName: string, changes: Partial<Evidence> = {}): Evidence {
  return { fileName, tool: TOOL, artefact: fileName, rule: 'threshold', ...PLACE, ...changes }
}

function cpu(ms: number, changes: Partial<Evidence> = {}): Evidence {
  return evidence(`cpu-1-${ms}.cpuprofile`, changes)
}

test('the promised numbers', () => {
  assert.equal(CHILD_DEADLINE_MS, 120_000)
  assert.equal(STALE_GRACE_MS, 60_000)
})

test('a child has its deadline, and with a large heap 0.3 s for each MB of it', () => {
  assert.equal(childDeadlineMs(0), CHILD_DEADLINE_MS)
  assert.equal(childDeadlineMs(400 * 2 ** 20), CHILD_DEADLINE_MS)
  assert.equal(childDeadlineMs(1000 * 2 ** 20), 300_000)
})

test('the newest stay, the others are chosen, oldest first', () => {
  assert.deepEqual(chooseExpired([cpu(3), cpu(1), cpu(4), cpu(2)], 2, PLACE, NOW), [
    'cpu-1-1.cpuprofile',
    'cpu-1-2.cpuprofile',
  ])
})

test('names later than now, given while the clock was ahead, are the oldest', () => {
  const stored = [cpu(1), cpu(2), cpu(2_000_000), cpu(3_000_000)]
  assert.deepEqual([...chooseExpired(stored, 2, PLACE, NOW)].sort(), [
    'cpu-1-2000000.cpuprofile',
    'cpu-1-3000000.cpuprofile',
  ])
})

test('the dump just made is never chosen, whatever its name and however few are kept', () => {
  const stored = [cpu(1), cpu(5), cpu(9)]
  const made = { nowMs: 7, made: 'cpu-1-1' }
  assert.deepEqual(chooseExpired(stored, 2, PLACE, made), ['cpu-1-9.cpuprofile'])
  assert.deepEqual(chooseExpired(stored, 0, PLACE, made), ['cpu-1-9.cpuprofile', 'cpu-1-5.cpuprofile'])
})

test('an artefact with a number belongs to the dump whose name it has', () => {
  const stored = [
    evidence('memory-1-1-2.heapsnapshot'),
    evidence('memory-1-1.heapprofile'),
    evidence('memory-1-3.heapsnapshot'),
  ]
  const chosen = chooseExpired(stored, 1, PLACE, NOW)
  assert.deepEqual([...chosen].sort(), ['memory-1-1-2.heapsnapshot', 'memory-1-1.heapprofile'])
})

test('newest is decided by number, not by letters', () => {
  assert.deepEqual(chooseExpired([cpu(10), cpu(9)], 1, PLACE, NOW), ['cpu-1-9.cpuprofile'])
})

test("the profiles of a dump's threads count once and go together", () => {
  const threads = [1, 2].flatMap((ms) => [
    cpu(ms),
    evidence(`cpu-1-${ms}-worker-3.cpuprofile`),
    evidence(`cpu-1-${ms}-worker-12.cpuprofile`),
  ])
  assert.deepEqual([...chooseExpired(threads, 1, PLACE, NOW)].sort(), [
    'cpu-1-1-worker-12.cpuprofile',
    'cpu-1-1-worker-3.cpuprofile',
    'cpu-1-1.cpuprofile',
  ])
  assert.deepEqual(chooseExpired(threads, 2, PLACE, NOW), [])
})

test('no more than keep: none is chosen', () => {
  assert.deepEqual(chooseExpired([cpu(1), cpu(2)], 2, PLACE, NOW), [])
})

test('each kind of name has its own count, all processes share it', () => {
  const stored = [
    cpu(1),
    evidence('cpu-2-2.cpuprofile'),
    evidence('blocked-cpu-1-1.cpuprofile', { rule: 'blocked' }),
    evidence('memory-1-1.heapsnapshot'),
    evidence('leak-memory-1-1.heapsnapshot', { rule: 'leak' }),
  ]
  assert.deepEqual(chooseExpired(stored, 1, PLACE, NOW), ['cpu-1-1.cpuprofile'])
})

test('a snapshot and its sampling profile count once and go together', () => {
  const pairs = [1, 2].flatMap((ms) => [
    evidence(`memory-1-${ms}.heapsnapshot`),
    evidence(`memory-1-${ms}.heapprofile`),
  ])
  assert.deepEqual(chooseExpired(pairs, 2, PLACE, NOW), [])
  assert.deepEqual(chooseExpired(pairs, 1, PLACE, NOW), ['memory-1-1.heapsnapshot', 'memory-1-1.heapprofile'])
})

test('keep 0 chooses all, keep false none', () => {
  assert.deepEqual(chooseExpired([cpu(1)], 0, PLACE, NOW), ['cpu-1-1.cpuprofile'])
  assert.deepEqual(chooseExpired([cpu(1)], false, PLACE, NOW), [])
})

for (const [what, stored] of [
  ['a manual dump, by its name', evidence('manual-cpu-1-1.cpuprofile')],
  ['a manual dump, by its sidecar', cpu(1, { rule: 'manual' })],
  ['the file of another tool', cpu(1, { tool: 'another' })],
  ['the file of another host', cpu(1, { host: 'there' })],
  ['a file copied from another directory', cpu(1, { directory: '/elsewhere' })],
  ['a file that was renamed', cpu(1, { artefact: 'cpu-1-0.cpuprofile' })],
  ['a name that is not ours', evidence('precious.txt')],
  ['a partial', evidence('cpu-1-1.cpuprofile.partial')],
  ['a sidecar of a sidecar', evidence('cpu-1-1.cpuprofile.json')],
] as const) {
  test(`never chosen, even with keep 0: ${what}`, () => {
    assert.deepEqual(chooseExpired([stored], 0, PLACE, NOW), [])
  })
  test(`takes no place of those that are kept: ${what}`, () => {
    assert.deepEqual(chooseExpired([stored, cpu(0)], 1, PLACE, NOW), [])
  })
}

test('whatever there is: manual ones stay, at most keep dumps per kind of name stay, the chosen are older', () => {
  const names = fc
    .record({
      prefix: fc.constantFrom('cpu', 'blocked-cpu', 'manual-cpu'),
      pid: fc.nat({ max: 3 }),
      ms: fc.nat({ max: 50 }),
    })
    .map(({ prefix, pid, ms }) => `${prefix}-${pid}-${ms}.cpuprofile`)
  fc.assert(
    fc.property(fc.uniqueArray(names), fc.nat({ max: 5 }), (fileNames, keep) => {
      const chosen = chooseExpired(
        fileNames.map((name) => evidence(name)),
        keep,
        PLACE,
        { nowMs: Infinity },
      )
      const startOf = (name: string): number => Number(/-(\d+)\./.exec(name)?.[1])
      for (const prefix of ['cpu-', 'blocked-cpu-']) {
        const all = fileNames.filter((name) => name.startsWith(prefix))
        const gone = chosen.filter((name) => name.startsWith(prefix))
        const kept = all.filter((name) => !gone.includes(name))
        assert.equal(kept.length, Math.min(keep, all.length))
        assert.ok(gone.every((name) => kept.every((other) => startOf(name) <= startOf(other))))
      }
      assert.ok(chosen.every((name) => !name.startsWith('manual')))
    }),
  )
})

const AGE_MS = CHILD_DEADLINE_MS + STALE_GRACE_MS

test('a partial older than deadline and grace, whose writer is gone, is stale', () => {
  assert.equal(isStalePartial(cpu(1000), PLACE, false, 1001 + AGE_MS), true)
  assert.equal(
    isStalePartial(evidence('manual-cpu-1-1.cpuprofile', { rule: 'manual' }), PLACE, false, 2 + AGE_MS),
    true,
  )
})

test('a partial whose child has longer is stale later', () => {
  const stored = cpu(1000, { childDeadlineMs: 10 * CHILD_DEADLINE_MS })
  const longest = 10 * CHILD_DEADLINE_MS + STALE_GRACE_MS
  assert.equal(isStalePartial(stored, PLACE, false, 1000 + longest), false)
  assert.equal(isStalePartial(stored, PLACE, false, 1001 + longest), true)
})

for (const [what, stored, writerLives, nowMs] of [
  ['no older than deadline and grace', cpu(1000), false, 1000 + AGE_MS],
  ['from the future, after the clock was set back', cpu(5000), false, 1000],
  ['of a process that lives', cpu(1000), true, 10 * AGE_MS],
  ['of another host', cpu(1000, { host: 'there' }), false, 10 * AGE_MS],
  ['of another directory', cpu(1000, { directory: '/elsewhere' }), false, 10 * AGE_MS],
  ['of another tool', cpu(1000, { tool: 'another' }), false, 10 * AGE_MS],
  ['with a sidecar about another file', cpu(1000, { artefact: 'cpu-1-1001.cpuprofile' }), false, 10 * AGE_MS],
  ['with a name that is not ours', evidence('precious.txt'), false, 10 * AGE_MS],
] as const) {
  test(`not stale: a partial ${what}`, () => {
    assert.equal(isStalePartial(stored, PLACE, writerLives, nowMs), false)
  })
}
