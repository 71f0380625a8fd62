import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { EMPTY, type Row, tableOf } from './figures'

const installation = {
  packages: 7,
  bytes: 1_500_000,
  ms: [2000, 1000, 4000],
  needsCompiler: false,
  downloads: false,
}
const empty: Row = { name: EMPTY, start: { ms: [40, 42, 41], rssMb: [50] } }
const ours: Row = { name: 'ours', installation, start: { ms: [60, 61, 70], rssMb: [52] } }

describe('the table of the install bench', () => {
  it('has what a package brings, and what it adds to an empty program', () => {
    const [, first, second] = tableOf([empty, ours]).split('\n')
    assert.match(first ?? '', /^an empty program +41 +50$/)
    assert.match(second ?? '', /^ours +7 +1\.5 +2\.0 \(1\.0-4\.0\) +no +\+20 +\+2\.0$/)
  })

  it('tells a compiler from one that a download spares', () => {
    const row = (downloads: boolean) =>
      tableOf([{ ...ours, installation: { ...installation, needsCompiler: true, downloads } }])
    assert.match(row(true), / yes, or a download /)
    assert.match(row(false), / yes {2}/)
  })

  it('has the reason of a package that cannot be installed', () => {
    assert.match(tableOf([empty, { name: 'peer', reason: 'it does not load' }]), /^peer +it does not load$/m)
  })
})
