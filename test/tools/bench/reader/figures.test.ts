import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { OURS, type Row, type Rows, textOf } from './figures'

const setting = { node: 'v20.0.0', cpu: 'a processor', cores: 2, memoryGb: 24, load: [0.1, 0.2] as const }
const ours: Row = { name: OURS, seconds: [40, 44, 42], peakMb: [2200, 2300, 2250] }
const peer: Row = { name: 'peer', seconds: [56], peakMb: [2290] }
const rows: Rows = {
  snapshot: { fileMb: 612, readers: [ours, peer] },
  profile: { fileMb: 14, pageMb: 0.9, reader: { name: OURS, seconds: [2.1], peakMb: [310] } },
}
const linesOf = (changed: Rows): string[] =>
  textOf({ setting, parameters: { rounds: 3, seconds: 30 }, rows: changed }).split('\n')
const withReaders = (...readers: Row[]): Rows => ({ ...rows, snapshot: { fileMb: 612, readers } })

describe('the table of the reader bench', () => {
  it('has a line for each reader of the snapshot, and the page of the profile', () => {
    const lines = linesOf(rows)
    assert.ok(lines.some((line) => /^a heap snapshot of 612 MB +s +peak MB$/.test(line)))
    assert.ok(lines.some((line) => /report +42 \(40-44\) +2250 \(2200-2300\)$/.test(line)))
    assert.ok(lines.some((line) => /^peer +56 +2290$/.test(line)))
    assert.ok(lines.some((line) => /^a CPU profile of 30 s, 14 MB +s +peak MB +page MB$/.test(line)))
    assert.ok(lines.some((line) => /report +2\.1 +310 +0\.90$/.test(line)))
  })

  it('shows what holds', () => {
    assert.deepEqual(
      linesOf(rows)
        .filter((line) => /hold/i.test(line))
        .map((line) => line.split(':')[0]),
      ['holds', 'holds', 'holds'],
    )
  })

  for (const [what, changed] of Object.entries({
    'a peer that is faster': withReaders(ours, { ...peer, seconds: [41] }),
    'a peer that is smaller': withReaders(ours, { ...peer, peakMb: [2000] }),
    'a snapshot that takes too long': withReaders({ ...ours, seconds: [121] }, { ...peer, seconds: [200] }),
    'a snapshot that takes too much memory': withReaders(
      { ...ours, peakMb: [4100] },
      { ...peer, peakMb: [5000] },
    ),
    'a page that is too large': { ...rows, profile: { ...rows.profile, pageMb: 3 } },
  }))
    it(`shows ${what}`, () => {
      assert.equal(linesOf(changed).filter((line) => line.startsWith('DOES NOT HOLD: ')).length, 1)
    })

  it('has the reason of a peer that could not read it, and does not compare with it', () => {
    const lines = linesOf(withReaders(ours, { ...peer, seconds: [], peakMb: [], reason: 'it ended with 1' }))
    assert.ok(lines.some((line) => /^peer +it ended with 1$/.test(line)))
    assert.ok(lines.every((line) => !/than peer/.test(line)))
  })
})
