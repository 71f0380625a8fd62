import assert from 'node:assert/strict'
import { test } from 'node:test'
import { formatSize, parseSize } from '../../../src/base/size'

for (const [text, sizeBytes] of [
  ['1.2gb', 1_288_490_188],
  ['512MB', 536_870_912],
  ['512 mb', 536_870_912],
  ['1024', 1024],
  ['7b', 7],
] as const) {
  test(`reads ${text}`, () => assert.equal(parseSize(text), sizeBytes))
}

// bytes itself reads these as 1, 1, 1, 512, -1 and 10.
for (const text of ['1.2gbb', '1g', '1.2gib', '512m', '-1gb', '1e3', '', 'gb', '1,2gb', 'NaN', 'Infinity']) {
  test(`does not read ${JSON.stringify(text)}`, () => assert.equal(parseSize(text), undefined))
}

test('does not read a size that no number holds', () =>
  assert.equal(parseSize(`${'9'.repeat(400)}gb`), undefined))

test('formats for a human', () => assert.equal(formatSize(1_288_490_188), '1.2GB'))
