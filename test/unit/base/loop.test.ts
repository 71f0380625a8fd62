import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as loop from '../../../src/base/time.js'

const { startLoop } = loop
const turn = () => new Promise((done) => setImmediate(done))

test('does the first round at once, and rounds never overlap', async () => {
  let [running, most, rounds] = [0, 0, 0]
  const stop = startLoop(1, async () => {
    running++
    rounds++
    most = Math.max(most, running)
    for (let turns = 0; turns < 5; turns++) await turn()
    running--
  })
  assert.equal(rounds, 1)
  while (rounds < 4) await new Promise((later) => setTimeout(later, 1))
  await stop()
  assert.equal(most, 1)
  assert.equal(running, 0, 'the stop waits for the round that is under way')
})

test('does no round after the stop', async () => {
  let rounds = 0
  const stop = startLoop(1, () => Promise.resolve(void rounds++))
  await stop()
  const atStop = rounds
  await new Promise((later) => setTimeout(later, 20))
  assert.equal(rounds, atStop)
})
