import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { DumpHook, ON_DUMP_DEADLINE_MS } from '../../../src/report/on-dump'

// A deadline keeps no process alive.
const hold = setInterval(() => undefined, 1000)
after(() => clearInterval(hold))

function scene(onDump: (dump: number) => unknown, deadlineMs?: number) {
  const failures: unknown[] = []
  return { hook: new DumpHook(onDump, (error) => failures.push(error), deadlineMs), failures }
}

test('the deadline of the documentation', () => assert.equal(ON_DUMP_DEADLINE_MS, 60_000))

test('each dump is handed over at once, and a call that settles is no failure', async () => {
  const dumps: number[] = []
  const { hook, failures } = scene(async (dump) => {
    dumps.push(dump)
    await Promise.resolve()
  })
  hook.call(1)
  hook.call(2)
  assert.deepEqual(dumps, [1, 2])
  await hook.settled()
  assert.deepEqual(failures, [])
})

test('a call that throws, rejects or does not settle is one failure, and is not waited for any longer', async () => {
  const error = new Error('away')
  const calls = [
    () => {
      throw error
    },
    () => Promise.reject(error),
    () => new Promise(() => undefined),
  ]
  const { hook, failures } = scene((dump) => calls[dump]?.(), 20)
  for (const dump of calls.keys()) hook.call(dump)
  await hook.settled()
  assert.deepEqual(failures.slice(0, 2), [error, error])
  assert.match((failures[2] as Error).message, /has not settled within 20 ms/)
})
