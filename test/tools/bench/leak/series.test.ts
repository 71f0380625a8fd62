import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { HOUR_MS, MB } from './heap'
import { HOLD_OUT } from './hold-out'
import { CLEAN, LEAKS, run } from './series'
import { readTraces } from './traces'

const all = [...CLEAN, ...LEAKS, ...HOLD_OUT]

describe('series of the leak bench', () => {
  it('are at least 40 clean ones and 40 leaks, and as many that the rule was not made with', () => {
    assert.ok(CLEAN.length >= 40 && LEAKS.length >= 40)
    assert.ok(CLEAN.every(({ leaks }) => !leaks) && LEAKS.every(({ leaks }) => leaks))
    assert.ok(HOLD_OUT.filter(({ leaks }) => leaks).length >= 40)
    assert.ok(HOLD_OUT.filter(({ leaks }) => !leaks).length >= 40)
    assert.equal(new Set(all.map(({ name }) => name)).size, all.length)
  })

  it('are the same for the same seed, and others for another', () => {
    for (const series of all) {
      const { readings } = run(series, 3)
      assert.ok(readings.length > 0, series.name)
      assert.deepEqual(run(series, 3).readings, readings)
      assert.notDeepEqual(run(series, 4).readings, readings)
    }
  })

  it('that do nothing but leak collect each time that the heap has grown by 11 to 37 %', () => {
    for (const series of LEAKS.filter(({ name }) => name.endsWith('nothing else is allocated'))) {
      const sizes = run(series, 1)
        .readings.map(({ usedBytes }) => usedBytes / MB)
        .filter((mb) => mb > 100)
      const ratios = sizes.slice(1).map((mb, at) => mb / (sizes[at] ?? mb))
      const inBounds = ratios.filter((ratio) => ratio > 1.08 && ratio < 1.42)
      // The memory reducer's collections come seconds after another one.
      const byGrowth = ratios.filter((ratio) => ratio > 1.04)
      assert.ok(inBounds.length >= 0.8 * byGrowth.length, `${series.name}: ${ratios.join(' ')}`)
    }
  })

  it('leak from the hour that they name', () => {
    for (const series of LEAKS) {
      const { leakFromHour, hours, readings } = run(series, 2)
      assert.ok(leakFromHour < hours)
      const last = readings.at(-1)
      assert.ok(last && last.atMs <= hours * HOUR_MS)
    }
  })
})

describe('recorded programs', () => {
  it('are five leaks and five clean ones, their readings in order', () => {
    const traces = readTraces()
    assert.equal(traces.filter(({ leaks }) => leaks).length, 5)
    assert.equal(traces.filter(({ leaks }) => !leaks).length, 5)
    for (const { name, readings } of traces) {
      const times = readings.map(({ atMs }) => atMs)
      assert.deepEqual(
        times,
        [...times].sort((a, b) => a - b),
        name,
      )
    }
  })

  it('leak to more than the fourfold, where they leak', () => {
    for (const { name, leaks, readings } of readTraces()) {
      const sizes = readings.map(({ usedBytes }) => usedBytes)
      assert.equal(leaks, Math.max(...sizes) / Math.min(...sizes) > 4, name)
    }
  })
})
