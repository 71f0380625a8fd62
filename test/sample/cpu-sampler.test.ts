import assert from 'node:assert/strict'
import { describe, test } from 'node:test'

import { cpuSampler } from '../../dist/sample/cpu-sampler.js'
import type { UsageReader } from '../../dist/sample/usage-reader.js'
import { runFixture } from './run-fixture.js'

interface Burnt {
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
    test(`${duty} of each slice on ${threads} threads: what two samplers say agrees with Node`, async () => {
      const { result } = await runFixture<Burnt>('burner.js', { args: [duty, threads] })
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

/** A reader whose process uses one more ms of CPU at each reading, or which fails where the script says so. */
function scriptedReader(failures: readonly number[]): UsageReader {
  let readings = 0
  return {
    way: 'node',
    reason: 'scripted',
    own() {
      readings++
      if (failures.includes(readings)) throw new Error(`reading ${readings} failed`)
      return { cpuMs: readings, rssBytes: 0 }
    },
    of: () => new Map(),
  }
}

const pause = () => new Promise((resolve) => setTimeout(resolve, 15))

test('a failed reading rejects that call only, and the next one starts afresh', async () => {
  const sampler = cpuSampler(scriptedReader([3]))
  assert.equal(await sampler.sample(), undefined)
  await pause()
  assert.equal(typeof (await sampler.sample()), 'number')
  await assert.rejects(sampler.sample(), /reading 3 failed/)
  assert.equal(await sampler.sample(), undefined)
  await pause()
  assert.equal(typeof (await sampler.sample()), 'number')
})

test('a failed first reading is no baseline', async () => {
  const sampler = cpuSampler(scriptedReader([1]))
  await assert.rejects(sampler.sample(), /reading 1 failed/)
  await pause()
  assert.equal(await sampler.sample(), undefined)
})

test('after close it starts afresh', async () => {
  const sampler = cpuSampler(scriptedReader([]))
  await sampler.sample()
  await sampler.close()
  await sampler.close()
  await pause()
  assert.equal(await sampler.sample(), undefined)
})

test("Node's own counters serve as well", async () => {
  const { chooseUsageReader } = await import('../../dist/sample/usage-reader.js')
  const sampler = cpuSampler(chooseUsageReader('win32'))
  assert.equal(await sampler.sample(), undefined)
  await pause()
  const percent = await sampler.sample()
  assert.ok(percent !== undefined && percent >= 0)
})
