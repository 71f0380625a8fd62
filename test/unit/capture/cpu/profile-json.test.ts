import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { profileJson } from '../../../../src/capture/cpu/profile-json'

const callFrame = {
  functionName: 'f "quoted"',
  scriptId: '1',
  url: 'file:///a.js',
  lineNumber: 1,
  columnNumber: 2,
}

function profileOf(nodeCount: number, sampleCount: number) {
  return {
    nodes: Array.from({ length: nodeCount }, (_, i) => ({
      id: i + 1,
      callFrame,
      hitCount: i,
      children: [i],
    })),
    startTime: 1,
    endTime: 2,
    samples: Array.from({ length: sampleCount }, (_, i) => (i % nodeCount) + 1),
    timeDeltas: Array.from({ length: sampleCount }, (_, i) => i),
  }
}

describe('profileJson', () => {
  for (const [nodes, samples] of [
    [1, 0],
    [1, 1],
    [1000, 20_000],
    [1001, 20_001],
    [2500, 45_000],
  ] as const) {
    it(`says the same as JSON.stringify for ${nodes} nodes and ${samples} samples`, () => {
      const profile = profileOf(nodes, samples)
      assert.deepEqual(JSON.parse([...profileJson(profile)].join('')), profile)
    })
  }

  it('keeps each piece of a long profile small', () => {
    for (const piece of profileJson(profileOf(20_000, 120_000))) assert.ok(piece.length < 400_000)
  })

  it('has empty arrays where V8 leaves samples out', () => {
    const { nodes, startTime, endTime } = profileOf(1, 0)
    assert.deepEqual(JSON.parse([...profileJson({ nodes, startTime, endTime })].join('')), profileOf(1, 0))
  })
})
