import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import type { Report, SnapshotPart } from '../../../src/reader/model'
import { reader, scratch, written } from './command'

describe('what a heap snapshot holds', { timeout: 120_000 }, () => {
  const { folder, remove } = scratch()
  after(remove)
  let keeps: SnapshotPart
  let keepsNothing: SnapshotPart

  before(async () => {
    keeps = await analysed('keeps')
    keepsNothing = await analysed('keeps-nothing')
  })

  async function analysed(program: string): Promise<SnapshotPart> {
    const file = join(folder, `${program}.heapsnapshot`)
    await written(`e2e/reader/programs/${program}.js`, file)
    const { code, stdout, stderr } = await reader('report', file, '--json')
    assert.equal(code, 0, stderr)
    const part = (JSON.parse(stdout) as Report).parts[0]
    assert.ok(part?.kind === 'snapshot')
    return part
  }

  it('names the largest arrays, maps and buffers by owner, size, elements and holder', () => {
    const { arrays } = keeps
    const row = (variable: string): (typeof arrays)[number] | undefined =>
      arrays.find(({ heldBy }) => heldBy.includes(`\`${variable}\` in keeps.js`))
    assert.deepEqual(
      [row('rows')?.name, row('rows')?.elements],
      ['Array', [{ className: 'Row', count: 20_000 }]],
    )
    assert.ok((row('rows')?.slots ?? 0) >= 20_000)
    assert.deepEqual([row('prices')?.slots, row('prices')?.elements], [40_000, []])
    assert.equal(row('byKey')?.name, 'Map')
    assert.deepEqual(
      row('byKey')
        ?.elements.map(({ className }) => className)
        .sort(),
      ['(string)', 'Row'],
    )
    assert.deepEqual([row('upload')?.name, row('upload')?.bytes], ['ArrayBuffer', 900_000])
  })

  it('names the function whose listeners keep variables alive, how many there are, and their holder', () => {
    const row = keeps.scopes.find(({ name }) => name === 'onPrice')
    assert.equal(row?.count, 50)
    assert.deepEqual(row.variables, ['page'])
    assert.ok(row.retainedBytes > 50 * 2000 * 8, String(row.retainedBytes))
    assert.match(row.place?.file ?? '', /keeps\.js$/)
    assert.match(row.heldBy, /^Array `price` of `_events` of EventEmitter in keeps\.js/)
  })

  it('names the class of a variable of a block, whose name V8 does not keep', () => {
    const row = keeps.scopes.find(({ variables }) => variables.includes('(Order)'))
    assert.deepEqual([row?.name, row?.count], ['(anonymous)', 20])
    assert.match(row?.heldBy ?? '', /^Array `order` of `_events` of EventEmitter in keeps\.js/)
  })

  it('counts the contexts of vm, and names their holder', () => {
    const row = keeps.scopes.find(({ name }) => name === 'vm context')
    assert.equal(row?.count, 3)
    assert.match(row.heldBy, /^Array `plugins` in keeps\.js/)
  })

  it('lists nothing of Node.js itself for a process that keeps nothing', () => {
    assert.deepEqual(keepsNothing.scopes, [])
    assert.deepEqual(keepsNothing.arrays, [])
  })

  it('shows both in the text', async () => {
    const { stdout } = await reader('report', join(folder, 'keeps.heapsnapshot'))
    assert.match(stdout, /^Largest arrays, maps and buffers\n(?: .*\n)* .* 20000 Row {2}.*`rows`/m)
    assert.match(
      stdout,
      /^Variables that functions keep alive\n(?: .*\n)* .* 50 {2}onPrice {2}.*keeps\.js:\d+ {2}page/m,
    )
  })
})
