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
    const before = profileOf({ render: 60, pack: 40, '(idle)': 100 })
    const after = profileOf({ pack: 30, render: 30, validate: 40, '(idle)': 0 }, 100)
    const { verdict, grown, shrunk } = compare(before, after)
    assert.equal(
      verdict.sentence,
      'validate (/app/shop.js:105) grew from 0.0 % to 40.0 % of the busy CPU time, from 0 ms to 400 ms of CPU time per second.',
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

  it('name the function that took more time where no share grew', () => {
    for (const idle of [9900, 400]) {
      const { verdict, grown, beforeBusyPercent, busyPercent } = compare(
        profileOf({ render: 100, '(idle)': idle }),
        profileOf({ render: 10_000 }),
      )
      const [beforeMs, share] = [100_000 / (100 + idle), (100 / (100 + idle)) * 100]
      assert.equal(
        verdict.sentence,
        `render (/app/shop.js:4) grew from ${beforeMs} ms to 1000 ms of CPU time per second.`,
      )
      assert.match(
        verdict.hint ?? '',
        new RegExp(`^The thread was busy for ${share}\\.0 % of the time before, 100\\.0 % now\\.`),
      )
      assert.deepEqual([beforeBusyPercent, busyPercent], [share, 100])
      assert.deepEqual(
        grown.map(({ place, ms }) => [place.name, ms]),
        [['render', 1000]],
      )
    }
  })

  it('name none when neither share nor time grew', () => {
    for (const [before, after] of [
      [
        { render: 600, pack: 400 },
        { render: 620, pack: 380 },
      ],
      // The share of pack grew, and its time shrank.
      [
        { render: 600, pack: 400 },
        { render: 100, pack: 100, '(idle)': 800 },
      ],
    ]) {
      const { verdict } = compare(profileOf(before ?? {}), profileOf(after ?? {}))
      assert.equal(verdict.found, false)
      assert.match(
        verdict.sentence,
        /^No single function stands out: none grew by 5 percentage points of the busy CPU time, or by 50 ms of CPU time per second\.$/,
      )
    }
  })

  it('name none by a few busy samples', () => {
    const idle = { '(idle)': 9998 }
    for (const before of [{ work: 2, ...idle }, { work: 5000 }]) {
      const { verdict } = compare(profileOf(before), profileOf({ other: 2, ...idle }))
      assert.equal(verdict.found, false)
      assert.match(verdict.sentence, /^No function stands out: the thread of the later profile was idle/)
    }
    const { verdict } = compare(profileOf({ work: 5000 }), profileOf({ other: 4 }))
    assert.equal(verdict.found, false)
    assert.equal(verdict.sentence, 'after has 4 samples, too few to compare.')
  })

  it('are refused when one is something else', () => {
    assert.throws(() => compare(profileOf({ render: 1 }), { head: {} }), UnreadableError)
  })
})
