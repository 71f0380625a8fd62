import assert from 'node:assert/strict'
import { test } from 'node:test'
import { chooseReadings, missingLeakPackage } from '../../dist/leak/choose-readings.js'
import { findMemwatch } from '../../dist/leak/memwatch-readings.js'
import type { FoundMemwatch } from '../../dist/leak/memwatch-readings.js'
import { ENGINES, FULL_GCS, runFixture } from './run-fixture'

const now = () => 0
const memwatch = { on: () => undefined, removeListener: () => undefined }
const installed = (): FoundMemwatch => ({ name: 'memwatch-next', memwatch })
const absent = (): FoundMemwatch =>
  findMemwatch((name) => {
    throw Object.assign(new Error(`Cannot find module '${name}'`), { code: 'MODULE_NOT_FOUND' })
  })
const INSTALL = 'npm i memwatch-next@npm:@airbnb/node-memwatch'

test('auto takes the package as soon as it is installed', () => {
  const { readings, passedOver } = chooseReadings('auto', now, installed)
  assert.equal(readings.source, 'memwatch-next')
  assert.deepEqual(passedOver, [])
})

test('auto takes Node without it, and says what was passed over', () => {
  const { readings, passedOver } = chooseReadings('auto', now, absent)
  assert.equal(readings.source, 'builtin')
  assert.deepEqual(passedOver, [
    { way: 'memwatch-next', why: 'not installed' },
    { way: '@airbnb/node-memwatch', why: 'not installed' },
  ])
})

test('packages takes the package', () => {
  assert.equal(chooseReadings('packages', now, installed).readings.source, 'memwatch-next')
})

test('packages throws without it, naming both names, the reason and the remedy', () => {
  const message =
    'the leak watch needs a memwatch package, but neither memwatch-next (not installed) ' +
    `nor @airbnb/node-memwatch (not installed) can be used: ${INSTALL}`
  assert.throws(() => chooseReadings('packages', now, absent), { message })
  assert.equal(missingLeakPackage(absent), message)
})

test('nothing is missing when the package loads', () => {
  assert.equal(missingLeakPackage(installed), undefined)
})

test('builtin never looks for the package', () => {
  const { readings, passedOver } = chooseReadings('builtin', now, () => assert.fail('looked'))
  assert.equal(readings.source, 'builtin')
  assert.deepEqual(passedOver, [])
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
