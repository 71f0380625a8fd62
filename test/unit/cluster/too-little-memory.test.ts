import assert from 'node:assert/strict'
import { describe, test, type TestContext } from 'node:test'
import { readLimits } from '../../../src/system/limits.js'
import { RunningCluster } from '../../e2e/cluster/running-cluster'
import { limitedTo } from '../../e2e/monitor/memory-cgroup'

const MIB = 1024 * 1024

/** Warnings at the start of two workers with that limit. */
async function warnings(t: TestContext, limit: number, config: object = {}): Promise<string[]> {
  const running = await RunningCluster.start(t, { limit, options: { count: 2 }, ...config })
  await running.allReady()
  return running.stderr.match(/\d+ workers \(count \+ maxSurge\) at .*/g) ?? []
}

describe('too little memory for all workers at their limit', { concurrency: 3 }, () => {
  const { memoryLimitBytes, totalMemoryBytes } = readLimits()
  const haveBytes = memoryLimitBytes ?? totalMemoryBytes

  test('the start warns as soon as it is a byte too little for the workers and the newcomer', async (t) => {
    const [line, ...more] = await warnings(t, Math.floor(haveBytes / 3) + 1)
    assert.match(
      line ?? '',
      /^3 workers \(count \+ maxSurge\) at the limit of \S+B need \S+B, but there are only \S+B \((machine|cgroup-v[12])\): lower the limit or the number of workers$/,
    )
    assert.deepEqual(more, [])
  })

  test('what just fits draws no warning', async (t) => {
    assert.deepEqual(await warnings(t, Math.floor(haveBytes / 3)), [])
  })

  test('without surge there is no newcomer to make room for', async (t) => {
    const options = { count: 2, maxSurge: 0 }
    assert.deepEqual(await warnings(t, Math.floor(haveBytes / 3) + 1, { options }), [])
  })

  for (const [limitMib, expected] of [
    [
      200,
      [
        '3 workers (count + maxSurge) at the limit of 200MB need 600MB, but there are only 512MB (cgroup-vN): lower the limit or the number of workers',
      ],
    ],
    [170, []],
  ] as const) {
    test(`in a cgroup of 512 MiB, a limit of ${limitMib} MiB: ${expected.length} warnings`, async (t) => {
      const group = limitedTo(t, 512 * MIB)
      if ('reason' in group) return t.skip(group.reason)
      const lines = await warnings(t, limitMib * MIB, { joinCgroup: group.procs })
      assert.deepEqual(
        lines.map((line) => line.replace(/cgroup-v[12]/, 'cgroup-vN')),
        expected,
      )
    })
  }
})
