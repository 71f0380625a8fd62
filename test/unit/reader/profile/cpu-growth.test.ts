import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { UnreadableError } from '../../../../src/reader/json'
import { compareCpuProfiles } from '../../../../src/reader/profile/cpu-growth'

/** A profile of functions that the root calls, by their milliseconds. */
function profileOf(functions: Readonly<Record<string, number>>, line = 1): unknown {
  const names = Object.keys(functions)
  const node = (id: number, functionName: string, children: number[], hitCount: number) => ({
    id,
    callFrame: {
      functionName,
      url: functionName.startsWith('(') ? '' : 'file:///app/shop.js',
      lineNumber: functionName.startsWith('(') ? -1 : line + id,
      columnNumber: 0,
    },
    children,
    hitCount,
  })
  const children = names.map((_name, at) => at + 2)
  const nodes = [
    node(1, '(root)', children, 0),
    ...names.map((name, at) => node(at + 2, name, [], functions[name] ?? 0)),
  ]
  return { nodes, startTime: 0, endTime: 1_000_000 }
}

const compare = (before: unknown, after: unknown) =>
  compareCpuProfiles({ profile: before, file: 'before' }, { profile: after, file: 'after' })

describe('two CPU profiles', () => {
  it('name the function whose share of the busy time grew most, wherever it has moved', () => {
    const before = profileOf({ render: 60, pack: 40, '(idle)': 900 })
    const after = profileOf({ pack: 30, render: 30, validate: 40, '(idle)': 0 }, 100)
    const { verdict, grown, shrunk } = compare(before, after)
    assert.equal(
      verdict.sentence,
      'validate (/app/shop.js:105) grew from 0.0 % to 40.0 % of the busy CPU time.',
    )
    assert.deepEqual(
      grown.map(({ place, growthPercent }) => [place.name, Math.round(growthPercent)]),
      [['validate', 40]],
    )
    assert.deepEqual(
      shrunk.map(({ place, beforePercent, percent }) => [place.name, beforePercent, percent]),
      [
        ['render', 60, 30],
        ['pack', 40, 30],
      ],
    )
  })

  it('name none when no share grew, however idle the thread was', () => {
    const { verdict, grown } = compare(
      profileOf({ render: 6, pack: 4, '(idle)': 900 }),
      profileOf({ render: 62, pack: 38 }),
    )
    assert.equal(verdict.found, false)
    assert.match(verdict.sentence, /^No single function stands out/)
    assert.equal(grown[0]?.place.name, 'render')
  })

  it('are refused when one is something else', () => {
    assert.throws(() => compare(profileOf({ render: 1 }), { head: {} }), UnreadableError)
  })
})
