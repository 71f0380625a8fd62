import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Board, boardRules } from '../../../src/watch/board'

const RULES = boardRules([{ name: 'delay' }])

test('what one thread writes another reads, each rule for itself', () => {
  const shared = Board.create(RULES)
  const [one, other] = [new Board(shared, RULES), new Board(shared, RULES)]
  assert.deepEqual(other.read('memory'), { readings: 0, breaches: 0, left: 0 })
  one.write('memory', 5, 1000, 1, 3)
  one.write('memory', 6, 2000, 2, 2)
  assert.deepEqual(other.read('memory'), {
    readings: 2,
    latest: { value: 6, atEpochMs: 2000 },
    breaches: 2,
    left: 2,
  })
  assert.equal(other.read('cpu').readings, 0)
})

test('a rule that is not on it changes nothing', () => {
  const board = new Board(Board.create(RULES), RULES)
  board.write('none', 5, 1000, 1, 3)
  for (const rule of RULES) assert.equal(board.read(rule).readings, 0)
})

test('readings are wanted or not, for all threads', () => {
  const shared = Board.create(RULES)
  const [one, other] = [new Board(shared, RULES), new Board(shared, RULES)]
  assert.equal(other.isWanted, false)
  one.isWanted = true
  assert.equal(other.isWanted, true)
  one.isWanted = false
  assert.equal(other.isWanted, false)
})
