import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startLoop } from '../../dist/watch/loop.js'

/** The loop's own timer keeps no process alive, not even this one. */
async function alive<T>(promise: Promise<T>): Promise<T> {
  const hold = setInterval(() => undefined, 1000)
  return promise.finally(() => clearInterval(hold))
}

test('the first round begins at once, the others come one after the other', async () => {
  let [rounds, running, overlapped] = [0, 0, false]
  let enough!: () => void
  const hadEnough = new Promise<void>((resolve) => (enough = resolve))
  const stop = startLoop(1, async () => {
    overlapped ||= ++running > 1
    await new Promise((resolve) => setTimeout(resolve, 5))
    running--
    if (++rounds === 4) enough()
  })
  assert.equal(running, 1)
  await alive(hadEnough)
  await stop()
  assert.equal(overlapped, false)
})

test('stopping waits for the round that is under way, and none follows', async () => {
  let [begun, ended] = [0, 0]
  let finish!: () => void
  const stop = startLoop(1, async () => {
    begun++
    await new Promise<void>((resolve) => (finish = resolve))
    ended++
  })
  const stopping = Promise.all([stop(), stop()])
  assert.equal(ended, 0)
  finish()
  await stopping
  await alive(new Promise((resolve) => setTimeout(resolve, 20)))
  assert.deepEqual([begun, ended], [1, 1])
})

test('a loop that is waiting for its next round can be stopped', async () => {
  let rounds = 0
  const stop = startLoop(3_600_000, () => Promise.resolve(void rounds++))
  await Promise.resolve()
  await stop()
  assert.equal(rounds, 1)
})
