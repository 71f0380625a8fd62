import assert from 'node:assert/strict'
import { test } from 'node:test'
import { APPLICATION, groupOf, pathOf } from '../../../src/reader/place'

const group = (file: string): string => groupOf({ name: 'f', file, line: 1, column: 1 })

test('code belongs to the innermost package of its path, and without one to the application', () => {
  for (const [file, owner] of [
    ['/app/node_modules/one/index.js', 'one'],
    ['/app/node_modules/one/node_modules/@two/three/index.js', '@two/three'],
    ['/app/node_modules/.pnpm/one@1.0.0/node_modules/one/index.js', 'one'],
    ['C:\\app\\node_modules\\one\\index.js', 'one'],
    ['/node_modules/.pnpm/index.js', APPLICATION],
    ['node_modules/one/index.js', APPLICATION],
    ['/app/my_node_modules/one/index.js', APPLICATION],
    ['/app/index.js', APPLICATION],
  ] as const)
    assert.equal(group(file), owner, file)
})

test('the package of a path is found in a time that grows with its length, not with the square of it', () => {
  const began = performance.now()
  assert.equal(group(`/${'n'.repeat(300_000)}`), APPLICATION)
  assert.equal(group(`${'/node_modules/.pnpm'.repeat(15_000)}/node_modules/one/a.js`), 'one')
  const tookMs = performance.now() - began
  assert.ok(tookMs < 5000, `${tookMs} ms`)
})

test('a path is cut where it is longer than any that can be meant, and stays as it is where it is not', () => {
  assert.equal(pathOf('file:///app/a%20b.js'), '/app/a b.js')
  assert.equal(pathOf(`/${'n'.repeat(1999)}`).length, 2000)
  assert.equal(pathOf(`/${'n'.repeat(1_000_000)}`).length, 2000)
  assert.equal(pathOf(`file:///${'n'.repeat(1_000_000)}`).length, 2000 - 'file://'.length)
})
