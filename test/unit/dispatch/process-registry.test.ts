import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as registry from '../../../src/dispatch/gate.js'
import { GATE_BYTES } from '../../../src/dispatch/gate.js'

const { REGISTRY_KEY, claim, processRegistry } = registry

test('the process has one registry, found under a symbol that other copies of the package know', () => {
  const found = processRegistry()
  assert.equal(processRegistry(), found)
  assert.equal((globalThis as Record<symbol, unknown>)[Symbol.for(REGISTRY_KEY)], found)
  assert.ok(!Object.keys(globalThis).includes(REGISTRY_KEY))
  assert.equal(found.gate.byteLength, GATE_BYTES)
})

test('what is watched cannot be claimed twice, and nothing of such a call is claimed', (t) => {
  const unclaim = claim(['cpu'])
  t.after(unclaim)
  assert.throws(() => claim(['memory', 'cpu']), {
    message: 'cpu-memory-monitor already watches cpu in this process; stop() that monitor first',
  })
  claim(['memory'])()
})

test('what is given back can be claimed again', () => {
  claim(['cpu', 'memory'])()
  const unclaim = claim(['cpu', 'memory'])
  assert.throws(() => claim(['cpu', 'memory']), /already watches cpu and memory/)
  unclaim()
})
