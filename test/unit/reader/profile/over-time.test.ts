import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Flame, FlameTree, Place } from '../../../../src/reader/model'
import type { CallNode, Moment } from '../../../../src/reader/profile/call-tree'
import { readCpuProfile } from '../../../../src/reader/profile/cpu-profile'
import { flameOverTime } from '../../../../src/reader/profile/over-time'

const place = (name: string): Place => ({ name, file: '/app/a.js', line: 1, column: 1 })

/** The root, `serve`, and `parse` and `render` that it calls. */
const CALLS: readonly CallNode[] = [
  { place: place('(root)'), parent: -1, self: 0 },
  { place: place('serve'), parent: 0, self: 0 },
  { place: place('parse'), parent: 1, self: 0 },
  { place: place('render'), parent: 1, self: 0 },
]
const [ROOT, SERVE, PARSE, RENDER] = [0, 1, 2, 3]

function drawn(timeline: readonly (readonly [call: number, value: number])[], calls = CALLS): FlameTree {
  const tree = flameOverTime(
    calls,
    timeline.map(([call, value]): Moment => ({ call, value })),
  )
  assert.ok(tree)
  return tree
}

/** Frames as `name value (callees)`; a gap has no name. */
function written({ places }: FlameTree, { place: index, value, children }: Flame): string {
  const below = children.map((child) => written({ places } as FlameTree, child)).join(' ')
  return `${places[index]?.name ?? ''}${value}${below === '' ? '' : `(${below})`}`
}

function framesIn({ children }: Flame): number {
  return children.reduce((sum, child) => sum + framesIn(child), 1)
}

describe('the stacks of a profile in the order of the time', () => {
  it('keeps the order, and joins neighbours with the same callers', () => {
    const tree = drawn([
      [PARSE, 2],
      [PARSE, 1],
      [RENDER, 4],
      [PARSE, 3],
    ])
    assert.equal(written(tree, tree.root), 'all10(serve10(parse3 render4 parse3))')
  })

  it('leaves a gap where a function works itself before it calls another, and none after', () => {
    const tree = drawn([
      [SERVE, 5],
      [PARSE, 1],
      [SERVE, 2],
      [RENDER, 1],
      [SERVE, 9],
    ])
    assert.equal(written(tree, tree.root), 'all18(serve18(5 parse1 2 render1))')
  })

  it('separates two calls of a function between which the stack was empty', () => {
    const tree = drawn([
      [PARSE, 1],
      [ROOT, 1],
      [PARSE, 1],
    ])
    assert.equal(written(tree, tree.root), 'all3(serve1(parse1) 1 serve1(parse1))')
  })

  it('shows for each column of a long profile the stack that was on top longest', () => {
    const timeline = Array.from({ length: 80_000 }, (_, at): [number, number] => [
      at % 10 === 9 ? RENDER : PARSE,
      1,
    ])
    const tree = drawn(timeline)
    assert.equal(written(tree, tree.root).replace(/(\d+)\.\d+/g, '$1'), 'all80000(serve80000(parse80000))')
  })

  it('has a bounded number of frames, however deep and varied the stacks are', () => {
    const chains = 500
    const depth = 400
    const calls: CallNode[] = [{ place: place('(root)'), parent: -1, self: 0 }]
    const tops: number[] = []
    for (let chain = 0; chain < chains; chain += 1) {
      for (let level = 0; level < depth; level += 1)
        calls.push({
          place: place(`f${chain} ${level}`),
          parent: level === 0 ? 0 : calls.length - 1,
          self: 0,
        })
      tops.push(calls.length - 1)
    }
    const { root } = drawn(
      Array.from({ length: 50_000 }, (_, at): [number, number] => [tops[at % chains] ?? 0, 1]),
      calls,
    )
    assert.ok(framesIn(root) > 5000 && framesIn(root) <= 10_001, String(framesIn(root)))
    assert.ok(root.children.length > 100)
    assert.ok(Math.abs(root.value - 50_000) < 1)
  })

  it('is part of a CPU profile with times, idle time included, and of none without', () => {
    const node = (id: number, functionName: string, children?: number[]): object => ({
      id,
      callFrame: {
        functionName,
        url: functionName === 'spin' ? '/app/a.js' : '',
        lineNumber: 0,
        columnNumber: 0,
      },
      hitCount: 1,
      ...(children && { children }),
    })
    const nodes = [node(1, '(root)', [2, 3]), node(2, 'spin'), node(3, '(idle)')]
    const timed = { nodes, startTime: 0, endTime: 30, samples: [2, 3, 2], timeDeltas: [0, 10, 10] }
    const { overTime } = readCpuProfile(timed, 'a')
    assert.ok(overTime)
    assert.equal(written(overTime, overTime.root), 'all30(spin10 (idle)10 spin10)')
    assert.equal(readCpuProfile({ nodes, startTime: 0, endTime: 30 }, 'a').overTime, undefined)
  })
})
