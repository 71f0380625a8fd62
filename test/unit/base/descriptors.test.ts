import assert from 'node:assert/strict'
import { closeSync, openSync } from 'node:fs'
import { after, test } from 'node:test'
import { lookAtDescriptors } from '../../../src/base/descriptors'

const skip = process.platform === 'linux' ? false : 'only Linux shows who has a file open'

// The look rests on unref'd timers between its steps.
const hold = setInterval(() => undefined, 1000)
after(() => clearInterval(hold))

test(
  'each descriptor of this process is looked at, and the look ends when it is enough',
  { skip },
  async (t) => {
    const fds = Array.from({ length: 600 }, () => openSync('/dev/null', 'r'))
    t.after(() => fds.forEach((fd) => closeSync(fd)))
    const seen = new Set<string>()
    assert.equal(await lookAtDescriptors((path) => void seen.add(path) === true), true)
    assert.deepEqual(
      fds.filter((fd) => !seen.has(`/proc/${process.pid}/fd/${fd}`)),
      [],
    )
    let looks = 0
    assert.equal(await lookAtDescriptors(() => ++looks === 5), true)
    assert.equal(looks, 5)
  },
)

test('no more are looked at than the limit, and the answer says so', { skip }, async () => {
  let looks = 0
  const look = (): boolean => {
    looks++
    throw new Error('closed meanwhile')
  }
  assert.equal(await lookAtDescriptors(look, 20), false)
  assert.ok(looks <= 20)
  assert.equal(await lookAtDescriptors(look), true)
})
