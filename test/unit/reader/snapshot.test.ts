import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { describe, it } from 'node:test'
import { openInput } from '../../../src/reader/input'
import { UnreadableError } from '../../../src/reader/json'
import type { SnapshotPart } from '../../../src/reader/model'
import { summaryOf } from '../../../src/reader/output/tables'
import { isSystemClass } from '../../../src/reader/snapshot/accumulation'
import { analyseHeap, classTotals, compareHeaps } from '../../../src/reader/snapshot/analyse'
import { analyseSnapshots } from '../../../src/reader/snapshot/analysis'
import { SnapshotCheck } from '../../../src/reader/snapshot/check'
import { loadHeap } from '../../../src/reader/snapshot/load'
import { analyseInChild } from '../../../src/reader/snapshot/run-child'
import type { Heap } from '../../../src/reader/snapshot/toolkit'
import { NO_SOURCE_MAPS } from '../../../src/reader/source-maps'
import { scratch } from '../../e2e/reader/command'
import { parkedOrders, type SmallNode, smallSnapshot } from './small-snapshot'

const CHUNK_BYTES = 7

function load(text: string, sizeBytes = Buffer.byteLength(text)): Promise<Heap> {
  const bytes = Buffer.from(text)
  const chunks = Array.from({ length: Math.ceil(bytes.length / 1024) }, (_, at) =>
    bytes.subarray(at * 1024, (at + 1) * 1024),
  )
  return loadHeap({ open: () => Readable.from(chunks), sizeBytes, onProgress: () => undefined })
}

async function analyse(text: string): Promise<SnapshotPart> {
  return analyseHeap(await load(text), 'a')
}

function check(text: string, chunkBytes = CHUNK_BYTES): void {
  const bytes = Buffer.from(text)
  const checking = new SnapshotCheck()
  for (let at = 0; at < bytes.length; at += chunkBytes) checking.push(bytes.subarray(at, at + chunkBytes))
  checking.end()
}

describe('a heap snapshot', () => {
  it('names the class that piles up, how much it retains, and what holds it', async () => {
    const part = await analyse(smallSnapshot(parkedOrders(50)))
    assert.equal(
      part.verdict.sentence,
      '50 objects of class ParkedOrder retain 50.0 kB, 99.8 % of the 50.1 kB in the snapshot, held by Array `parked`, a global.',
    )
    assert.deepEqual(
      part.accumulation?.path.map(({ text }) => text.replace(/\d+/, 'N')),
      ['element N of Array', 'property `parked` of global'],
    )
  })

  it('reads over lists of numbers that a later V8 writes before the strings, and over nothing else', async () => {
    const written = (more: object): string => smallSnapshot(parkedOrders(50), {}, { ...more })
    assert.match(
      (await analyse(written({ scopes: [7, -2, 0], scope_uses: [] }))).verdict.sentence,
      /ParkedOrder/,
    )
    check(written({ scopes: [7, -2, 0] }))
    for (const scopes of [['"strings":['], [[7]], [{ strings: [] }]])
      assert.throws(() => check(written({ scopes })), UnreadableError)
  })

  it('names nobody when nothing piles up', async () => {
    const [root, ...others] = parkedOrders(0)
    const spread = Array.from({ length: 20 }, (_, index) => ({
      type: 'object' as const,
      name: `Class${index}`,
      selfSize: 1000,
    }))
    const edges = spread.map((_node, index) => ({ type: 'element' as const, name: index, to: 3 + index }))
    const { verdict } = await analyse(smallSnapshot([root!, others[0]!, { ...others[1]!, edges }, ...spread]))
    assert.equal(verdict.found, false)
    assert.match(verdict.sentence, /^No single class stands out/)
  })

  it('says what grew between two snapshots', async () => {
    const [before, after] = [
      await load(smallSnapshot(parkedOrders(10))),
      await load(smallSnapshot(parkedOrders(50))),
    ]
    const earlier = { file: 'one', classes: classTotals(before), bytes: before.totalSize }
    const growth = compareHeaps(earlier, analyseHeap(after, 'two'), classTotals(after))
    assert.equal(
      growth.verdict.sentence,
      'ParkedOrder grew by 40 objects to 50, retaining 40.0 kB more, held by Array `parked`, a global.',
    )
    const same = compareHeaps(earlier, analyseHeap(before, 'two'), classTotals(before))
    assert.equal(same.verdict.found, false)
    assert.deepEqual(same.classes, [])
  })

  it('separates thousands, and counts Buffers as what they are: outside of the heap', async () => {
    const [root, global, array, ...orders] = parkedOrders(1500)
    const withContents = orders.map((order, at) => ({
      ...order,
      edges: [{ type: 'internal' as const, name: 'backing_store', to: 3 + orders.length + at }],
    }))
    const contents: SmallNode = { type: 'native', name: 'system / JSArrayBufferData', selfSize: 6000 }
    const all = [root!, global!, array!, ...withContents, ...orders.map(() => contents)]
    const part = await analyse(smallSnapshot(all))
    assert.match(
      part.verdict.sentence,
      /^1,500 objects of class ParkedOrder .* of the 10\.5 MB in the snapshot/,
    )
    assert.equal(
      summaryOf(part),
      'Heap snapshot a: 10.5 MB in 3,003 objects, 9.0 MB of it outside of the heap',
    )
  })

  it('names the class that grew, not a larger one that stood there before', async () => {
    const [before, after] = [
      await load(smallSnapshot(shop(500, 1))),
      await load(smallSnapshot(shop(501, 301))),
    ]
    const part = analyseHeap(after, 'two')
    assert.match(part.verdict.sentence, /^501 objects of class CacheEntry /)
    const earlier = { file: 'one', classes: classTotals(before), bytes: before.totalSize }
    const { verdict } = compareHeaps(earlier, part, classTotals(after))
    // The array that holds a session retains more than the session.
    assert.equal(verdict.sentence, 'LeakedSession grew by 300 objects to 301, retaining 150.0 kB more.')
    const still = compareHeaps(
      { file: 'one', classes: classTotals(after), bytes: after.totalSize },
      part,
      classTotals(after),
    )
    assert.equal(still.verdict.found, false)
    const onlyPile = analyseHeap(await load(smallSnapshot(shop(560, 1))), 'two')
    const grown = compareHeaps(earlier, onlyPile, classTotals(await load(smallSnapshot(shop(560, 1)))))
    assert.match(grown.verdict.sentence, /^CacheEntry grew by 60 objects to 560, .* held by Array `cache`/)
  })

  it('counts strings that occur more than once', async () => {
    const objects = parkedOrders(1)
    const text = { type: 'string' as const, name: '<script>alert(1)</script>', selfSize: 100 }
    const edges = [1, 2, 3].map((to) => ({ type: 'element' as const, name: to, to: 3 + to }))
    const part = await analyse(
      smallSnapshot([...objects.slice(0, 3), { ...objects[3]!, edges }, text, text, text]),
    )
    assert.deepEqual(part.duplicateStrings, [{ text: '<script>alert(1)</script>', count: 3, bytes: 300 }])
  })

  it('cuts names of any length, and takes no time over one that is nearly that of a class of V8', async (t) => {
    const long = `C${'x'.repeat(100_000)}`
    const { folder, remove } = scratch()
    t.after(remove)
    writeFileSync(join(folder, 'a.heapsnapshot'), smallSnapshot(parkedOrders(5, long)))
    const input = openInput(join(folder, 'a.heapsnapshot'))
    const [part] = await analyseSnapshots([input], NO_SOURCE_MAPS, { onProgress: () => undefined })
    assert.ok(part?.verdict.sentence.startsWith('5 objects of class Cxxx'))
    assert.ok(part?.verdict.sentence.endsWith('x…'))
    assert.ok(JSON.stringify(part).length < 200_000, String(JSON.stringify(part).length))
    assert.deepEqual([`(${' roots'.repeat(100)})`, '(Strong roots)', '(GC roots)'].map(isSystemClass), [
      false,
      true,
      true,
    ])
  })

  it('does not mind names of prototypes', async () => {
    for (const name of ['__proto__', 'constructor', 'hasOwnProperty']) {
      const { verdict, classes } = await analyse(smallSnapshot(parkedOrders(5, name)))
      assert.ok(verdict.sentence.startsWith(`5 objects of class ${name} `), verdict.sentence)
      assert.ok(classes.some((row) => row.name === name && row.count === 5))
    }
  })
})

describe('the check of a heap snapshot', () => {
  const good = smallSnapshot(parkedOrders(3))

  it('accepts a whole one, in chunks of any size', () => {
    for (const size of [1, 2, 7, 100, 1e6]) check(good, size)
  })

  it('refuses one that is cut, at every byte', () => {
    for (let end = 1; end < good.length; end += 1) {
      assert.throws(() => check(good.slice(0, end), 4096), UnreadableError, good.slice(0, end).slice(-30))
    }
  })

  it('refuses wrong counts, references to nowhere, and lists of something else', () => {
    for (const bad of [
      smallSnapshot(parkedOrders(3), { node_count: 1e9 }),
      smallSnapshot(parkedOrders(3), { node_count: -1 }),
      smallSnapshot(parkedOrders(3), { edge_count: 6 }),
      smallSnapshot(parkedOrders(3), { edge_count: '5' }),
      smallSnapshot(parkedOrders(3), { root_index: 5 }),
      smallSnapshot(parkedOrders(3), { meta: {} }),
      smallSnapshot(
        parkedOrders(3).map((node) => ({ ...node, edges: [{ type: 'element', name: 0, to: 99 }] })),
      ),
      good.replace('"edges":[', '"edges":["a",'),
      good.replace('"strings":[""', '"strings":["'),
      good.replace('"nodes"', '"knots"'),
      good.replace('"samples":[],', ''),
      good.replace(/"strings":\[.*\]/, '"strings":[""]'),
      `${good}{}`,
      '{"snapshot":1}',
      '{"snapshot":{}}',
      `{"snapshot":${'['.repeat(1_000_000)}`,
    ]) {
      assert.throws(() => check(bad, 1024), UnreadableError, bad.slice(0, 100))
    }
  })

  it('refuses content that is larger than announced', async () => {
    await assert.rejects(load(good, good.length / 2), /is larger than its size says/)
  })
})

describe('the analysis of a snapshot', () => {
  it('is refused before it starts when there is too little memory, with both numbers', () => {
    const id = { dev: 1, ino: 1, uid: 0, isLinkedByOthers: false }
    const input = {
      path: 'a.heapsnapshot',
      isCompressed: false,
      sizeBytes: 600e6,
      kind: 'snapshot',
      id,
    } as const
    assert.throws(
      () => analyseInChild([input], { onProgress: () => undefined, availableBytes: 1e9 }),
      /^UnreadableError: a\.heapsnapshot cannot be analysed: that takes about 3\.15 GB of memory, but only 1\.00 GB are available$/,
    )
  })
})

describe('a damaged heap snapshot', () => {
  it('is refused or analysed, but never waited for: 400 fixed mutations', { timeout: 120_000 }, async () => {
    const good = smallSnapshot(parkedOrders(20))
    const outcomes = { refused: 0, analysed: 0 }
    for (let seed = 1; seed <= 400; seed += 1) {
      try {
        await analyse(mutate(good, seed))
        outcomes.analysed += 1
      } catch (error) {
        assert.ok(error instanceof Error)
        outcomes.refused += 1
      }
    }
    assert.ok(outcomes.refused > 100 && outcomes.analysed > 20, JSON.stringify(outcomes))
  })
})

/** A cache of entries of 1 kB, and sessions of 0.5 kB, each in an array of its own. */
function shop(entries: number, sessions: number): SmallNode[] {
  const firstSession = 4 + entries
  const object = (name: string, selfSize: number, edges: SmallNode['edges'] = []): SmallNode => ({
    type: 'object',
    name,
    selfSize,
    edges,
  })
  const elements = (count: number, first: number): NonNullable<SmallNode['edges']> =>
    Array.from({ length: count }, (_, at) => ({ type: 'element', name: at, to: first + at }))
  return [
    { type: 'synthetic', name: '', selfSize: 0, edges: [{ type: 'element', name: 1, to: 1 }] },
    object('global', 10, [
      { type: 'property', name: 'cache', to: 2 },
      { type: 'property', name: 'sessions', to: 3 },
    ]),
    object('Array', 100, elements(entries, 4)),
    object('SessionStore', 100, elements(sessions, firstSession)),
    ...Array.from({ length: entries }, () => object('CacheEntry', 1000)),
    ...Array.from({ length: sessions }, (_, at) =>
      object('Array', 50, [{ type: 'element', name: 0, to: firstSession + sessions + at }]),
    ),
    ...Array.from({ length: sessions }, () => object('LeakedSession', 500)),
  ]
}

/** Replaces a few characters by others that a snapshot is made of. */
function mutate(text: string, seed: number): string {
  let state = seed
  const random = (limit: number): number => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0
    return (state >>> 8) % limit
  }
  const characters = '0123456789,[]{}"'
  let result = text
  for (let change = 0; change <= random(3); change += 1) {
    const at = random(result.length)
    result = result.slice(0, at) + (characters[random(characters.length)] ?? '') + result.slice(at + 1)
  }
  return result
}
