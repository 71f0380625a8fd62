import assert from 'node:assert/strict'
import { test } from 'node:test'
import { drain } from '../../../../src/cluster/drain/drain'
import type { Doors } from '../../../../src/cluster/drain/servers'

const settings = { killTimeoutMs: 5000, lingerMs: undefined }
const report = { info: () => undefined, warn: () => undefined, error: () => undefined }

test('drained resolves when no socket can come any more and those that came in between have ended', async () => {
  const steps: string[] = []
  const step = (name: string) => async () => {
    await new Promise((resolve) => setImmediate(resolve))
    steps.push(name)
  }
  const doors = { prepare: () => undefined, close: step('closed'), empty: step('empty') }
  const cleanFunc = async ({ drained }: { drained: Promise<void> }) => {
    steps.push('clean-up begins')
    await drained
    await step('cleaned')()
  }
  const cutOff = step('cut off')
  await drain('over', { doors: doors as unknown as Doors, cutOff, cleanFunc, settings, report })
  assert.deepEqual(steps, ['clean-up begins', 'closed', 'cut off', 'empty', 'cleaned'])
})
