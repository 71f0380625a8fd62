import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ForkHelper } from '../../../src/capture/heap/fork/helper'
import { armHeapLimit, type HeapLimitParts } from '../../../src/dispatch/arm-heap-limit'

const plan = {
  directory: '/dumps',
  budget: { tokensPerInterval: 3, intervalMs: 3_600_000 },
  where: { node: 'v20', v8: '11', pid: 1, host: 'here', limits: {} },
}
const common = { holdMs: 1, writesLine: false, sampler: undefined, signal: undefined, plan }

/** The helper, which notes its calls. */
function helperThat(prepareHeapLimit: () => undefined): { parts: HeapLimitParts; calls: string[] } {
  const calls: string[] = []
  const noting = (call: string) => () => void calls.push(call)
  const helper = {
    armHeapLimit: () => calls.push('arm'),
    prepareHeapLimit,
    disarmHeapLimit: noting('disarm'),
  } as Partial<ForkHelper> as ForkHelper
  return { parts: { ...common, fork: { helper } }, calls }
}

test('a first plan that is refused leaves nothing armed, and another monitor can arm', () => {
  const refusing = helperThat(() => {
    throw new TypeError('not a plan')
  })
  const { toWatch, atLimit } = armHeapLimit(refusing.parts)
  assert.deepEqual([toWatch.arming, atLimit.inWords], [undefined, 'no dump will be written (not a plan)'])
  assert.deepEqual(refusing.calls, ['arm', 'disarm'])

  const taking = helperThat(() => undefined)
  const { toWatch: armed, disarm } = armHeapLimit(taking.parts)
  assert.equal(armed.arming, 1)
  disarm()
  disarm()
  assert.deepEqual(taking.calls, ['arm', 'disarm'])
})
