import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test, type TestContext } from 'node:test'
import type { ForkHelper } from '../../../src/capture/heap/fork/helper'
import { createHeapLimitPlans } from '../../../src/dispatch/heap-limit-plans'

const MIB = 1024 * 1024

// A round waits for timers that do not keep the process alive.
const hold = setInterval(() => undefined, 1000)
after(() => clearInterval(hold))

test("a calm process keeps its plan for V8's heap limit, and one whose memory changes gets a new one", async (t) => {
  const { round, use, plans, reports } = stage(t)
  use(100)
  await round()
  use(100.5)
  await round()
  await round()
  assert.deepEqual(plans, [100], 'a calm process was planned for again')

  use(110.5)
  await round()
  await round()
  use(90.5)
  await round()
  assert.deepEqual(plans, [100, 110.5, 90.5])
  assert.deepEqual(reports, [])
})

test('a dump that is kept as a .partial is reported once, and one that is being written is not', async (t) => {
  // Each child that has ended has the directory looked at again.
  const { round, use, plans, reports, directory } = stage(t, { ended: true })
  const name = 'heap-limit-memory-7-1000-123456.heapsnapshot.partial'
  writeFileSync(join(directory, name), 'x')
  const written = join(directory, 'heap-limit-memory-7-2000.heapsnapshot')
  for (const suffix of ['.json', '.partial']) writeFileSync(written + suffix, '{}')
  for (const megabytes of [100, 120, 140]) {
    use(megabytes)
    await round()
  }
  assert.equal(plans.length, 3)
  assert.deepEqual(reports, [
    {
      ...{ stage: 'heap limit', kind: 'memory' },
      message:
        `the dump at V8's heap limit ${join(directory, name)} is complete, but all its final names were taken or refused: ` +
        'this line is written at each start until the file is moved or deleted',
    },
  ])
})

function stage(t: TestContext, { ended }: { readonly ended?: true } = {}) {
  const directory = mkdtempSync(join(tmpdir(), 'heap-limit-plans-'))
  t.after(() => rmSync(directory, { recursive: true, force: true }))
  let rssBytes = 0
  const plans: number[] = []
  const reports: unknown[] = []
  const prepareHeapLimit = (): unknown => {
    plans.push(rssBytes / MIB)
    return ended
  }
  const helper = { prepareHeapLimit } as unknown as ForkHelper
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
  const use = (megabytes: number): void => void (rssBytes = megabytes * MIB)
  return { round, use, plans, reports, directory }
}
