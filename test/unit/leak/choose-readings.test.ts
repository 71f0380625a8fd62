import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { chooseReadings } from '../../../src/leak/choose-readings.js'
import { ENGINES, FULL_GCS, runFixture } from './run-fixture'

const now = () => 0

/** A package of one file with that text. */
function packageOf(text: string): { package: { name: string; file: string }; remove: () => void } {
  const directory = mkdtempSync(join(tmpdir(), 'cmm-leak-'))
  const file = join(directory, 'index.js')
  writeFileSync(file, text)
  return { package: { name: 'memwatch-next', file }, remove: () => rmSync(directory, { recursive: true }) }
}

test('the package is taken when there is one', (t) => {
  const memwatch = packageOf('module.exports = { on() {}, removeListener() {} }')
  t.after(memwatch.remove)
  const { readings, passedOver } = chooseReadings({ package: memwatch.package, passedOver: [] }, now)
  assert.equal(readings.source, 'memwatch-next')
  assert.deepEqual(passedOver, [])
})

test('a package that is there but was not built is passed over with its own first line', (t) => {
  const memwatch = packageOf("throw new Error('Could not locate the bindings file. Tried:\\n -> /a')")
  t.after(memwatch.remove)
  const { readings, passedOver } = chooseReadings({ package: memwatch.package, passedOver: [] }, now)
  assert.equal(readings.source, 'builtin')
  assert.deepEqual(passedOver, [
    { way: 'memwatch-next', why: 'does not load: Could not locate the bindings file. Tried:' },
  ])
})

test('without a package Node is taken, and why is told on', () => {
  const passedOver = [{ way: 'memwatch-next', why: 'not installed' }]
  const chosen = chooseReadings({ passedOver }, now)
  assert.equal(chosen.readings.source, 'builtin')
  assert.deepEqual(chosen.passedOver, passedOver)
})

for (const { engine, skip } of ENGINES) {
  test(`auto in a real process where the machine has what ${engine} needs`, { skip }, async () => {
    const output = await runFixture(
      'heap.js',
      [engine === 'builtin' ? 'builtin' : 'auto', 'startUp'],
      FULL_GCS,
    )
    const { source } = JSON.parse(output) as { source: string }
    assert.match(source, engine === 'builtin' ? /^builtin$/ : /memwatch/)
  })
}
