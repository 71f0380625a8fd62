import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseThreadStat, readThreadStat } from '../../dist/sample/thread-stat.js'

const after = (name: string) =>
  parseThreadStat(`42 (${name}) R 1 42 42 0 -1 4194304 7 0 0 0 250 30 0 0 20 0 11 0 5 6 7\n`)

for (const name of ['node', 'a) b', '(x) S 9', '']) {
  test(`a name of "${name}" moves no field`, () => {
    assert.deepEqual(after(name), { state: 'R', cpuTicks: 280 })
  })
}

test('reads a process, and one thread of it', { skip: process.platform !== 'linux' }, () => {
  for (const directory of ['/proc/self', `/proc/self/task/${process.pid}`]) {
    const stat = readThreadStat(directory)
    assert.match(stat?.state ?? '', /^[RSD]$/)
    assert.ok((stat?.cpuTicks ?? -1) >= 0)
  }
})

test('says nothing of one that is not there', () => {
  assert.equal(readThreadStat('/proc/self/task/0'), undefined)
})
