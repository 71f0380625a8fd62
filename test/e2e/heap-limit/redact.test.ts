import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { instances } from '../monitor/profiles'
import { die, it, untilWritten } from './heap-limit'

/** The text of an object of the shape `burst`. */
const TEXT = /"order \d+"/

for (const redact of [true, false]) {
  it(`a snapshot at the heap limit has ${redact ? 'no texts with' : 'the texts without'} memory.redact`, async (t) => {
    const death = await die(t, { options: { memory: { redact }, signal: false } })
    const names = await untilWritten(death)
    const file = join(death.directory, names.find((name) => name.endsWith('.heapsnapshot')) ?? '')
    assert.ok(instances(file, 'LeakedOrder') > 1000)
    assert.equal(TEXT.test(readFileSync(file, 'latin1')), !redact)
  })
}
