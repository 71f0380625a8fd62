import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { HeapLimitJobFacts } from '../../../../../src/capture/heap/limit/job'
import {
  cutToBytes,
  factsText,
  MOST_FACTS_BYTES,
  MOST_REFUSAL_BYTES,
} from '../../../../../src/capture/heap/limit/texts'

const reading = { at: '2026-11-27T07:00:00.000Z', value: 1 }
const facts: HeapLimitJobFacts = {
  directory: '/dumps',
  hasProfile: true,
  hasSnapshot: true,
  budget: { tokensPerInterval: 3, intervalMs: 1000 },
  passedOver: [],
  readings: [reading],
  where: { node: 'v20.0.0', v8: '11', pid: 7, host: 'here', limits: {} },
}
const long = 'x'.repeat(MOST_FACTS_BYTES)
const flight = { endedAt: long } as unknown as NonNullable<HeapLimitJobFacts['flight']>
const makeup = { threads: [{ name: long }] } as unknown as NonNullable<HeapLimitJobFacts['makeup']>
const short = { spanMs: 1 } as unknown as NonNullable<HeapLimitJobFacts['makeup']>
const read = (of: HeapLimitJobFacts) => JSON.parse(factsText(of)) as HeapLimitJobFacts

test('a text that fits stays as it is, a longer one is cut between two characters', () => {
  const fits = 'é'.repeat(255)
  assert.equal(cutToBytes(fits, MOST_REFUSAL_BYTES), fits)
  for (const character of ['x', 'é', '中', '😀']) {
    for (const before of ['', 'a', 'ab', 'abc']) {
      const cut = cutToBytes(before + character.repeat(1000), MOST_REFUSAL_BYTES)
      assert.ok(Buffer.byteLength(cut) <= MOST_REFUSAL_BYTES)
      assert.ok(Buffer.byteLength(cut) > MOST_REFUSAL_BYTES - 4 - 3)
      assert.match(cut, new RegExp(`^${before}(${character})+…$`, 'u'))
    }
  }
})

test('facts that fit are kept whole', () =>
  assert.deepEqual(read({ ...facts, makeup: short }), { ...facts, makeup: short }))

test('facts that are too long lose the flight recorder first, then the threads, then older readings', () => {
  assert.deepEqual(read({ ...facts, makeup: short, flight }), { ...facts, makeup: short })
  assert.deepEqual(read({ ...facts, makeup, flight }), facts)
  const latest = { ...reading, value: 2 }
  const readings = [...Array.from({ length: 1000 }, () => reading), latest]
  assert.deepEqual(read({ ...facts, makeup, readings }), { ...facts, readings: [latest] })
})
