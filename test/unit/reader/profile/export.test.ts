import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { gunzipSync } from 'node:zlib'
import { Profile } from 'pprof-format'
import { UnreadableError } from '../../../../src/reader/json'
import { readStacks, toPprof, toSpeedscope } from '../../../../src/reader/profile/export'
import { NO_SOURCE_MAPS } from '../../../../src/reader/source-maps'

const frame = (functionName: string, lineNumber: number) => ({
  functionName,
  url: functionName.startsWith('(') ? '' : 'file:///app/shop.js',
  lineNumber,
  columnNumber: 4,
})

/** serve calls render, 3 ms in all, and pack, 2 ms; 1 ms idle. */
const CPU = {
  nodes: [
    { id: 1, callFrame: frame('(root)', -1), children: [2, 5] },
    { id: 2, callFrame: frame('serve', 9), children: [3, 4] },
    { id: 3, callFrame: frame('render', 19), children: [] },
    { id: 4, callFrame: frame('pack', 29), children: [] },
    { id: 5, callFrame: frame('(idle)', -1), children: [] },
  ],
  startTime: 0,
  endTime: 6000,
  samples: [3, 4, 5, 3],
  timeDeltas: [0, 1000, 2000, 1000],
}

const HEAP = {
  head: {
    callFrame: frame('(root)', -1),
    selfSize: 0,
    children: [
      {
        callFrame: frame('serve', 9),
        selfSize: 100,
        children: [{ callFrame: frame('render', 19), selfSize: 900, children: [] }],
      },
    ],
  },
}

interface Speedscope {
  readonly shared: {
    readonly frames: readonly { readonly name: string; readonly file?: string; readonly line?: number }[]
  }
  readonly profiles: readonly {
    readonly type: string
    readonly unit: string
    readonly endValue: number
    readonly samples: readonly (readonly number[])[]
    readonly weights: readonly number[]
  }[]
}

const speedscope = (profile: unknown): Speedscope =>
  JSON.parse(toSpeedscope(readStacks(profile, 'a.cpuprofile', NO_SOURCE_MAPS))) as Speedscope

/** Stack, outermost first, and value of each sample. */
function pprof(profile: unknown): { types: string[]; samples: [string, number][]; files: string[] } {
  const decoded = Profile.decode(gunzipSync(toPprof(readStacks(profile, 'a', NO_SOURCE_MAPS))))
  const text = (index: number | bigint) => decoded.stringTable.strings[Number(index)] ?? ''
  const functions = new Map(decoded.function.map((each) => [Number(each.id), each]))
  const locations = new Map(decoded.location.map(({ id, line }) => [Number(id), line[0]!]))
  const nameOf = (id: number | bigint) => {
    const line = locations.get(Number(id))!
    return `${text(functions.get(Number(line.functionId))!.name)}:${line.line}`
  }
  return {
    types: decoded.sampleType.map(({ type, unit }) => `${text(type)}/${text(unit)}`),
    samples: decoded.sample.map(({ locationId, value }) => [
      [...locationId].reverse().map(nameOf).join(' '),
      Number(value[0]),
    ]),
    files: [...new Set(decoded.function.map(({ filename }) => text(filename)))],
  }
}

describe('a profile for speedscope', () => {
  it('has the samples in the order of the time, with their stacks and durations', () => {
    const { shared, profiles } = speedscope(CPU)
    const [profile] = profiles
    assert.deepEqual([profile?.type, profile?.unit, profile?.endValue], ['sampled', 'microseconds', 6000])
    const stacks = profile?.samples.map((stack) => stack.map((at) => shared.frames[at]?.name).join(' '))
    assert.deepEqual(stacks, ['serve render', 'serve pack', '(idle)', 'serve render'])
    assert.deepEqual(profile?.weights, [1000, 2000, 1000, 2000])
    assert.deepEqual(
      shared.frames.find(({ name }) => name === 'render'),
      {
        name: 'render',
        file: '/app/shop.js',
        line: 20,
        col: 5,
      },
    )
  })

  it('has the bytes of a heap profile', () => {
    const [profile] = speedscope(HEAP).profiles
    assert.deepEqual([profile?.unit, profile?.endValue, profile?.weights], ['bytes', 1000, [100, 900]])
  })
})

describe('a profile for pprof', () => {
  it('has the time of each stack', () => {
    assert.deepEqual(pprof(CPU), {
      types: ['cpu/nanoseconds'],
      samples: [
        ['(idle):0', 1_000_000],
        ['serve:10 pack:30', 2_000_000],
        ['serve:10 render:20', 3_000_000],
      ],
      files: ['', '/app/shop.js'],
    })
  })

  it('has the bytes of a heap profile', () => {
    const { types, samples } = pprof(HEAP)
    assert.deepEqual(types, ['inuse_space/bytes'])
    assert.deepEqual(samples, [
      ['serve:10', 100],
      ['serve:10 render:20', 900],
    ])
  })
})

it('a file that is no profile, or nested without end, is refused', () => {
  assert.throws(() => readStacks({}, 'a', NO_SOURCE_MAPS), UnreadableError)
  const nodes = Array.from({ length: 10_000 }, (_, at) => ({
    id: at + 1,
    callFrame: frame('f', at),
    children: at < 9999 ? [at + 2] : [],
    hitCount: 1,
  }))
  const stacks = readStacks({ nodes, startTime: 0, endTime: 1 }, 'a', NO_SOURCE_MAPS)
  assert.throws(() => toSpeedscope(stacks), /its stacks have more than 20000000 frames/)
})
