import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import type { ForkHelper } from '../../../src/capture/heap/fork/helper'
import { createHeapLimitPlans } from '../../../src/dispatch/heap-limit-plans'

const MIB = 1024 * 1024

// A round waits for timers that do not keep the process alive.
const hold = setInterval(() => undefined, 1000)
after(() => clearInterval(hold))

test("a calm process keeps its plan for V8's heap limit, and one whose memory changes gets a new one", async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'heap-limit-plans-'))
  t.after(() => rmSync(directory, { recursive: true, force: true }))
  let rssBytes = 100 * MIB
  const plans: number[] = []
  const reports: unknown[] = []
  const helper = { prepareHeapLimit: () => void plans.push(rssBytes) } as Partial<ForkHelper> as ForkHelper
  const round = createHeapLimitPlans({
    heapLimit: {
      ...{ arming: 1, limitBytes: 200 * MIB, baseBytes: 40 * MIB, holdMs: 1 },
      ...{ writesLine: false, hasProfile: true, ignoredSignal: 0 },
    },
    directory,
    budget: () => ({ tokensPerInterval: 3, intervalMs: 60_000 }),
    keep: 3,
    where: { node: '0', v8: '0', pid: 1, host: 'here', limits: {} },
    probe: {
      memory: () => ({ availableBytes: 1000 * MIB, limitBytes: 2000 * MIB }),
      isKilledAsOne: () => false,
      disk: () => Promise.resolve({ freeBytes: 1000 * MIB, isMemory: false }),
    },
    report: { failure: (failure) => void reports.push(failure), notice: (line) => void reports.push(line) },
    onFound: (found) => void reports.push(found),
    fork: { helper },
    rssBytes: () => rssBytes,
  })
  await round()
  rssBytes += MIB / 2
  await round()
  await round()
  assert.deepEqual(plans, [100 * MIB], 'a calm process was planned for again')

  rssBytes += 10 * MIB
  await round()
  await round()
  rssBytes -= 20 * MIB
  await round()
  assert.deepEqual(plans, [100 * MIB, 110.5 * MIB, 90.5 * MIB])
  assert.deepEqual(reports, [])
})
