import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { UnreadableError } from '../../../../src/reader/json'
import type { Place } from '../../../../src/reader/model'
import { readCpuProfile } from '../../../../src/reader/profile/cpu-profile'

interface Spec {
  readonly name: string
  readonly url?: string
  readonly line?: number
  readonly ms: number
  readonly calls?: readonly Spec[]
  /** Samples by line. */
  readonly ticks?: Readonly<Record<number, number>>
}

/** A profile of one sample per millisecond, as V8 writes it. */
function profileOf(...calls: readonly Spec[]): Record<string, unknown> {
  const nodes: { id: number; callFrame: object; children: number[]; hitCount: number }[] = []
  const samples: number[] = []
  const add = ({ name, url = '', line = 1, ms, calls: below = [], ticks = {} }: Spec): number => {
    const id = nodes.length + 1
    const node = {
      id,
      callFrame: { functionName: name, scriptId: '1', url, lineNumber: line - 1, columnNumber: 0 },
      children: [] as number[],
      hitCount: ms,
      positionTicks: Object.entries(ticks).map(([at, count]) => ({ line: Number(at), ticks: count })),
    }
    nodes.push(node)
    samples.push(...new Array<number>(ms).fill(id))
    node.children = below.map(add)
    return id
  }
  add({ name: '(root)', ms: 0, calls })
  return {
    nodes,
    samples,
    timeDeltas: samples.map((_id, index) => (index === 0 ? 0 : 1000)),
    startTime: 5000,
    endTime: 5000 + samples.length * 1000,
  }
}

const app = (name: string, line: number, ms: number, calls: readonly Spec[] = []): Spec => ({
  name,
  url: 'file:///app/shop.js',
  line,
  ms,
  calls,
})
const idle = (ms: number): Spec => ({ name: '(idle)', ms })

describe('a CPU profile', () => {
  it('names the function with the most time of its own, its line and its share without idle time', () => {
    const part = readCpuProfile(profileOf(app('serve', 10, 10, [app('render', 23, 90)]), idle(100)), 'a')
    assert.equal(part.verdict.sentence, 'render (/app/shop.js:23) used 90.0 % of the busy CPU time.')
    assert.equal(part.verdict.found, true)
    assert.deepEqual(part.shares, { busy: 50, idle: 50, collector: 0, program: 0 })
    assert.deepEqual(
      part.calls.byTotal.map(({ place, totalPercent }) => [place.name, totalPercent]),
      [
        ['serve', 100],
        ['render', 90],
      ],
    )
    assert.equal(part.calls.bySelf[0]?.callers[0]?.place.name, 'serve')
  })

  it('names nobody when the thread was idle, and says where to look', () => {
    const { verdict } = readCpuProfile(profileOf(app('tick', 1, 2), idle(98)), 'a')
    assert.equal(verdict.found, false)
    assert.match(verdict.sentence, /idle for 98\.0 %/)
    assert.match(verdict.hint ?? '', /thread pool/)
  })

  it('names nobody when the time is spread', () => {
    const spread = Array.from({ length: 20 }, (_, index) => app(`part${index}`, index + 1, 5))
    const { verdict } = readCpuProfile(profileOf(app('main', 50, 0, spread)), 'a')
    assert.equal(verdict.found, false)
    assert.match(verdict.sentence, /^No single function stands out/)
    assert.match(verdict.hint ?? '', /main \(\/app\/shop\.js:50\)/)
  })

  it('says that it was the garbage collector, or native code', () => {
    const collector = readCpuProfile(
      profileOf({ name: '(garbage collector)', ms: 60 }, app('main', 1, 40)),
      'a',
    )
    assert.match(collector.verdict.sentence, /garbage collector used 60\.0 %/)
    const native = readCpuProfile(profileOf({ name: '(program)', ms: 60 }, app('main', 1, 40)), 'a')
    assert.match(native.verdict.sentence, /60\.0 % .* native code/)
  })

  it('names the caller in the application of a builtin, through functions of Node', () => {
    const builtin = { name: 'dispatch', ms: 80 }
    const node = { name: 'post', url: 'node:inspector', ms: 0, calls: [builtin] }
    const { verdict } = readCpuProfile(profileOf(app('load', 7, 20, [node])), 'a')
    assert.equal(
      verdict.sentence,
      'dispatch used 80.0 % of the busy CPU time, called by load (/app/shop.js:7).',
    )
  })

  it('names the hottest line, and where that is of a function that V8 inlined', () => {
    const inlined = { ...app('serve', 12, 100), ticks: { 4: 75, 12: 25 } }
    const part = readCpuProfile(profileOf(inlined), 'a')
    assert.deepEqual(part.calls.bySelf[0]?.hotLine, { line: 4, percent: 75, isInlined: true })
    assert.equal(
      part.verdict.hint,
      '75.0 % of that was spent at line 4, above the start of this function: V8 inlined the function that contains that line into this one.',
    )
    assert.ok(part.notes.some((note) => /^V8 inlines small functions/.test(note)))
    const own = readCpuProfile(profileOf({ ...app('serve', 12, 100), ticks: { 4: 25, 14: 75 } }), 'a')
    assert.deepEqual(own.calls.bySelf[0]?.hotLine, { line: 14, percent: 75, isInlined: false })
    assert.equal(own.verdict.hint, undefined)
  })

  it('names no line of compiled code that a source map leads away from', () => {
    const locator = {
      learn: () => undefined,
      locate: (place: Place) => ({ ...place, file: place.file.replace('.js', '.ts') }),
      notes: () => [],
    }
    const part = readCpuProfile(profileOf({ ...app('serve', 12, 100), ticks: { 4: 75 } }), 'a', locator)
    assert.equal(part.calls.bySelf[0]?.place.file, '/app/shop.ts')
    assert.equal(part.calls.bySelf[0]?.hotLine, undefined)
    assert.equal(part.verdict.hint, undefined)
  })

  it('explains idle time, native code, collections and functions without a name, where they occur', () => {
    const notesOn = (...calls: readonly Spec[]): string[] =>
      readCpuProfile(profileOf(...calls), 'a').notes.map((note) => /^(\S+ ?\w*\)?)/.exec(note)?.[0] ?? '')
    const native = { name: '(program)', ms: 20 }
    const collector = { name: '(garbage collector)', ms: 20 }
    assert.deepEqual(notesOn(native, collector, idle(20), app('(anonymous)', 3, 40)), [
      ...['(idle) is', '(program) is', '(garbage collector)', '(anonymous) is', 'V8 inlines'],
    ])
    assert.deepEqual(notesOn({ name: 'dispatch', ms: 10 }), [])
  })

  it('counts a recursive function once per stack', () => {
    const part = readCpuProfile(
      profileOf(app('walk', 3, 10, [app('walk', 3, 20, [app('walk', 3, 30)])])),
      'a',
    )
    assert.deepEqual(
      part.calls.byTotal.map(({ self, total }) => [self, total]),
      [[60_000, 60_000]],
    )
  })

  it('adds up by package, Node.js and V8', () => {
    const inPackage = (url: string, ms: number): Spec => ({ name: 'f', url, ms })
    const { calls } = readCpuProfile(
      profileOf(
        app('main', 1, 10),
        inPackage('file:///app/node_modules/@scope/one/index.js', 20),
        inPackage('/app/node_modules/a/node_modules/two/x.js', 30),
        inPackage('node:fs', 40),
      ),
      'a',
    )
    assert.deepEqual(
      calls.groups.map(({ name, self }) => [name, self]),
      [
        ['Node.js', 40_000],
        ['two', 30_000],
        ['@scope/one', 20_000],
        ['application', 10_000],
      ],
    )
  })

  it('takes hit counts when the samples have no times, and sorts samples that came late', () => {
    const profile = profileOf(app('main', 1, 10), app('other', 2, 30))
    const counted = readCpuProfile({ ...profile, timeDeltas: undefined, samples: undefined }, 'a')
    assert.equal(counted.calls.bySelf[0]?.self, 30_000)
    const late = readCpuProfile(
      { ...profile, samples: [2, 3, 2], timeDeltas: [0, 3000, -2000], startTime: 0, endTime: 4000 },
      'a',
    )
    assert.deepEqual(
      late.calls.bySelf.map(({ place, self }) => [place.name, self]),
      [
        ['main', 3000],
        ['other', 1000],
      ],
    )
  })

  it('reads profiles whose nodes name their parent', () => {
    const profile = profileOf(app('serve', 10, 10, [app('render', 23, 90)])) as {
      nodes: Record<string, unknown>[]
    }
    const nodes = profile.nodes.map((node, index) => ({
      ...node,
      children: undefined,
      ...(index > 0 && { parent: index }),
    }))
    assert.match(readCpuProfile({ ...profile, nodes }, 'a').verdict.sentence, /^render .* 90\.0 %/)
  })

  it('blames no function by a handful of samples', () => {
    const sentence = (profile: object) => readCpuProfile(profile, 'a').verdict.sentence
    assert.equal(sentence(profileOf()), 'The profile has no samples in 0.0 ms, too few to name a function.')
    const only = profileOf(app('main', 1, 1))
    assert.match(sentence(only), /^The profile has only 1 sample in 1\.0 ms, too few/)
    assert.match(sentence(profileOf(app('main', 1, 4))), /has only 4 samples/)
    assert.match(sentence({ ...profileOf(app('main', 1, 4)), samples: undefined }), /has only 4 samples/)
    assert.match(sentence(profileOf(app('main', 1, 5))), /^main .* used 100\.0 %/)
  })

  it('refuses what is no tree of calls', () => {
    const good = profileOf(app('main', 1, 1)) as { nodes: { children: number[] }[]; samples: number[] }
    const [root, leaf] = good.nodes
    const bad = [
      {},
      { nodes: [] },
      { nodes: [{ id: 1 }] },
      { nodes: [root, root] },
      { nodes: [root] },
      { ...good, nodes: [root, { ...leaf, children: [1] }] },
      { ...good, nodes: [root, { ...leaf, children: [2] }] },
      { ...good, samples: [99] },
    ]
    for (const profile of bad) {
      assert.throws(() => readCpuProfile(profile, 'a'), UnreadableError, JSON.stringify(profile))
    }
  })

  it('refuses more calls than memory suffices for', () => {
    const nodes = new Array<object>(1_500_001).fill({ id: 1, callFrame: {} })
    assert.throws(() => readCpuProfile({ nodes }, 'a'), /is too large: it has more than 1,500,000 calls$/)
  })

  it('does not mind names of prototypes, stacks of any depth, or tables of any size', () => {
    const nodes = Array.from({ length: 200_000 }, (_, index) => ({
      id: index + 1,
      callFrame: {
        functionName: index % 2 === 0 ? '__proto__' : 'constructor',
        url: 'x.js',
        lineNumber: index % 2,
        columnNumber: 0,
      },
      children: index < 199_999 ? [index + 2] : [],
      hitCount: 1,
    }))
    const part = readCpuProfile({ nodes }, 'a')
    assert.deepEqual(
      part.calls.bySelf.map(({ place, self }) => [place.name, self]),
      [
        ['constructor', 100_000_000],
        ['__proto__', 99_999_000],
      ],
    )
    JSON.stringify(part)
  })
})
