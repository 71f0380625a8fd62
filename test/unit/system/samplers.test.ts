import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { cpuPercent, cpuSampler, memorySampler, SHORTEST_SPAN_MS } from '../../../src/system/usage'
import { runFixture } from './run-fixture'

test('percent of one core', () => {
  assert.equal(cpuPercent({ nowMs: 1000, cpuMs: 50 }, { nowMs: 2000, cpuMs: 650 }), 60)
  assert.equal(cpuPercent({ nowMs: 1000, cpuMs: 50 }, { nowMs: 2000, cpuMs: 2550 }), 250)
  assert.equal(cpuPercent({ nowMs: 1000, cpuMs: 50 }, { nowMs: 2000, cpuMs: 50 }), 0)
})

test('too short a span has no percentage', () => {
  assert.equal(SHORTEST_SPAN_MS, 10)
  for (const spanMs of [9.9, 0, -1000, NaN]) {
    assert.equal(cpuPercent({ nowMs: 0, cpuMs: 0 }, { nowMs: spanMs, cpuMs: 10 }), undefined)
  }
  assert.equal(cpuPercent({ nowMs: 0, cpuMs: 0 }, { nowMs: 10, cpuMs: 10 }), 100)
})

test('never below 0', () => {
  assert.equal(cpuPercent({ nowMs: 0, cpuMs: 100 }, { nowMs: 1000, cpuMs: 90 }), 0)
})

interface Burnt {
  source: string
  failures: string[]
  first: string[]
  sampled: number
  often: number[]
  counted: number
}

function assertClose(sampled: number, counted: number, what: string): void {
  const ratio = sampled / counted
  assert.ok(ratio > 0.7 && ratio < 1.4, `${what}: sampled ${sampled}, counted ${counted}`)
}

describe('a process that burns', () => {
  for (const [duty, threads] of [
    ['0.5', '1'],
    ['0.9', '1'],
    ['0.9', '3'],
  ] as const) {
    test(`${duty} of each slice on ${threads} threads: two samplers by pidusage agree with Node`, async () => {
      const { result } = await runFixture<Burnt>('burner.js', { args: [duty, threads] })
      assert.deepEqual([result.source, result.failures], ['pidusage', []])
      assert.deepEqual(result.first, ['undefined', 'undefined'])
      assertClose(result.sampled, result.counted, 'the whole span')
      const mean = result.often.reduce((sum, percent) => sum + percent, 0) / result.often.length
      assertClose(mean, result.counted, 'four parts of it')
    })
  }

  test('nothing: next to no percent', async () => {
    const { result } = await runFixture<Burnt>('burner.js', { args: ['0', '1'] })
    assert.ok(result.sampled < 30, `sampled ${result.sampled}`)
  })
})

/** CPU time that grows by half of the clock, and cannot be read where the script has a failure. */
function scripted(failures: readonly number[]) {
  let readings = 0
  let nowMs = 0
  const sampler = cpuSampler(
    {
      read() {
        readings++
        return failures.includes(readings)
          ? Promise.reject(new Error(`reading ${readings} failed`))
          : Promise.resolve(nowMs / 2)
      },
    },
    () => nowMs,
  )
  return { sampler, pass: (ms: number) => void (nowMs += ms) }
}

test('each percentage is that of the time since the sample before', async () => {
  const { sampler, pass } = scripted([])
  assert.equal(await sampler.sample(), undefined)
  pass(1000)
  assert.equal(await sampler.sample(), 50)
  pass(20)
  assert.equal(await sampler.sample(), 50)
})

test('a sample right after another is undefined, and does not shorten the span of the next', async () => {
  const { sampler, pass } = scripted([])
  await sampler.sample()
  pass(5)
  assert.equal(await sampler.sample(), undefined)
  pass(5)
  assert.equal(await sampler.sample(), 50)
})

test('a failed reading rejects that call only, and the next one starts afresh', async () => {
  const { sampler, pass } = scripted([2])
  assert.equal(await sampler.sample(), undefined)
  pass(1000)
  await assert.rejects(async () => sampler.sample(), /reading 2 failed/)
  pass(1000)
  assert.equal(await sampler.sample(), undefined)
  pass(1000)
  assert.equal(await sampler.sample(), 50)
})

test('a failed first reading is no baseline', async () => {
  const { sampler, pass } = scripted([1])
  await assert.rejects(async () => sampler.sample(), /reading 1 failed/)
  pass(1000)
  assert.equal(await sampler.sample(), undefined)
})

test('the resident set size, in bytes, from the first sample on, at once', () => {
  const sampler = memorySampler()
  const before = sampler.sample() as number
  assert.ok(before > 10_000_000)
  const held = Buffer.alloc(64 * 1024 * 1024, 1)
  const after = sampler.sample() as number
  assert.ok(after - before > held.length / 2, `${before} then ${after}`)
})
