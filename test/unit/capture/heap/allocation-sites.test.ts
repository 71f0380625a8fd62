import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { resolveEngines } from '../../../../src/capture/engines'
import { holdingsOf, type SamplingProfile } from '../../../../src/capture/heap/allocation-sites'
import { createOrders } from '../../../../src/capture/main-thread/carry-out'

const frame = (functionName: string, url: string, lineNumber: number) => ({
  functionName,
  url,
  lineNumber,
  columnNumber: 0,
  scriptId: '1',
})

/** root > serve (application) > push (V8) and readFile (Node) > callback (application); and one of V8's alone. */
const PROFILE: SamplingProfile = {
  head: {
    callFrame: frame('(root)', '', -1),
    selfSize: 0,
    id: 1,
    children: [
      {
        callFrame: frame('serve', 'file:///app.js', 9),
        selfSize: 30,
        id: 2,
        children: [
          { callFrame: frame('push', '', -1), selfSize: 20, id: 3, children: [] },
          {
            callFrame: frame('readFile', 'node:fs', 100),
            selfSize: 5,
            id: 4,
            children: [{ callFrame: frame('', 'file:///app.js', 20), selfSize: 1, id: 5, children: [] }],
          },
        ],
      },
      { callFrame: frame('(V8 API)', '', -1), selfSize: 2, id: 6, children: [] },
    ],
  },
  samples: [
    { nodeId: 2, ordinal: 1, size: 10 },
    { nodeId: 2, ordinal: 7, size: 20 },
    { nodeId: 3, ordinal: 2, size: 20 },
    { nodeId: 4, ordinal: 3, size: 5 },
    { nodeId: 5, ordinal: 4, size: 1 },
    { nodeId: 6, ordinal: 5, size: 2 },
  ],
}

describe('holdings by call path', () => {
  const holdings = holdingsOf(PROFILE).sort((a, b) => a.path - b.path)

  it('have the samples that are alive, and only paths that have one', () => {
    assert.deepEqual(
      holdings.map(({ path, samples }) => [path, samples]),
      [
        [
          2,
          [
            [1, 10],
            [7, 20],
          ],
        ],
        [3, [[2, 20]]],
        [4, [[3, 5]]],
        [5, [[4, 1]]],
        [6, [[5, 2]]],
      ],
    )
  })

  it('count what V8 and Node allocate for the application as its nearest function, with the line from 1', () => {
    const places = holdings.map(({ functionName, url, line }) => `${functionName} ${url}:${line}`)
    assert.deepEqual(places, [
      'serve file:///app.js:10',
      'serve file:///app.js:10',
      'serve file:///app.js:10',
      '(anonymous) file:///app.js:21',
      '(V8 API) :0',
    ])
  })
})

describe('the order for allocation sites', () => {
  const kept: unknown[] = []
  function remember(): void {
    for (let at = 0; at < 20_000; at++) kept.push({ at, text: [at, at] })
  }

  it('names the function whose objects are alive, with the same samples at each reading', () => {
    const orders = createOrders(resolveEngines('builtin', []))
    orders.startSampling({ intervalBytes: 4096 })
    try {
      remember()
      const read = () => orders.allocationSites({}).sampled?.holdings ?? []
      const mine = () => read().find(({ functionName }) => functionName === 'remember')
      const [first, second] = [mine(), mine()]
      assert.ok(first && second)
      assert.equal(first.path, second.path)
      assert.match(first.url, /allocation-sites\.test/)
      const ordinals = new Set(second.samples.map(([ordinal]) => ordinal))
      assert.ok(first.samples.length > 50)
      assert.ok(first.samples.every(([ordinal]) => ordinals.has(ordinal)))
    } finally {
      orders.stopSampling({})
    }
    assert.equal(kept.length, 20_000)
  })

  it('has another run after a restart, with which V8 numbers the samples anew', () => {
    const orders = createOrders(resolveEngines('builtin', []))
    const read = () => {
      orders.startSampling({ intervalBytes: 4096 })
      remember()
      const { run, holdings } = orders.allocationSites({}).sampled ?? assert.fail('nothing is sampled')
      orders.stopSampling({})
      const ordinals = holdings.flatMap(({ samples }) => samples.map(([ordinal]) => ordinal))
      return { run, lowest: Math.min(...ordinals), highest: Math.max(...ordinals) }
    }
    const [first, second] = [read(), read()]
    assert.notEqual(first.run, second.run)
    assert.ok(second.lowest < first.highest, 'numbers go on: then runs could be compared')
  })

  it('has no holdings while nothing is sampled', () => {
    assert.deepEqual(createOrders(resolveEngines('builtin', [])).allocationSites({}), {})
  })
})
