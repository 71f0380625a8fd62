import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createProgress } from './progress'

describe("the demo's progress", () => {
  it('writes one line over and over on a terminal', () => {
    const { stream, written } = paper(true)
    const { update, say } = createProgress(stream)
    update(1, 'one')
    update(2, 'two')
    say('done')
    assert.equal(written(), '\r\u001b[Kone\r\u001b[Ktwo\r\u001b[Kdone\n')
  })

  it('writes plain lines elsewhere, and not one per call', () => {
    const { stream, written } = paper(false)
    const { update, say } = createProgress(stream)
    for (let second = 1; second <= 10; second++) update(second, `second ${second}`)
    say('done')
    assert.equal(written(), 'second 1\nsecond 6\ndone\n')
  })
})

function paper(isTTY: boolean) {
  let text = ''
  return { stream: { isTTY, write: (more: string) => void (text += more) }, written: () => text }
}
