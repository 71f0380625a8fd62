import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { UnreadableError } from '../../../../src/reader/json'
import { readHeapProfile } from '../../../../src/reader/profile/heap-profile'

interface Node {
  readonly callFrame: object
  readonly selfSize: number
  readonly children: Node[]
}

function node(name: string, url: string, line: number, selfSize: number, children: Node[] = []): Node {
  return { callFrame: { functionName: name, url, lineNumber: line - 1, columnNumber: 0 }, selfSize, children }
}

const root = (...children: Node[]): object => ({ head: node('(root)', '', 0, 0, children) })

describe('a sampling heap profile', () => {
  it('names the function that allocated what is alive', () => {
    const { verdict, bytes } = readHeapProfile(
      root(node('serve', '/app/a.js', 3, 1e6, [node('remember', '/app/a.js', 9, 9e6)])),
      'a',
    )
    assert.equal(bytes, 10e6)
    assert.equal(
      verdict.sentence,
      'remember (/app/a.js:9) allocated 90.0 % of the live bytes that were sampled, 9.0 MB.',
    )
  })

  it('names the caller of a function of Node', () => {
    const { verdict } = readHeapProfile(
      root(
        node('remember', '/app/a.js', 9, 0, [
          node('alloc', 'node:buffer', 30, 0, [node('fill', 'node:buffer', 40, 5e6)]),
        ]),
      ),
      'a',
    )
    assert.match(
      verdict.sentence,
      /^remember \(\/app\/a\.js:9\) allocated 100\.0 % .* through fill \(node:buffer:40\)\.$/,
    )
  })

  it('names nobody when the bytes are spread, or when there are none', () => {
    const spread = Array.from({ length: 10 }, (_, index) => node(`f${index}`, '/app/a.js', index + 1, 1000))
    assert.equal(readHeapProfile(root(...spread), 'a').verdict.found, false)
    assert.equal(readHeapProfile(root(), 'a').verdict.found, false)
  })

  it('refuses more calls than memory suffices for, and shows at most 20,000 frames, the levels next to the root', () => {
    const many = new Array<Node>(1_500_001).fill(node('f', '/app/a.js', 1, 1))
    assert.throws(
      () => readHeapProfile(root({ ...node('g', '', 0, 0), children: many }), 'a'),
      /^UnreadableError: is too large: it has more than 1,500,000 calls$/,
    )
    // A thousand stacks of a hundred calls each.
    const stacks = Array.from({ length: 1000 }, (_, stack) => {
      let deepest = node(`f${stack}`, '/app/a.js', 100, 1)
      for (let line = 99; line > 0; line -= 1) deepest = node(`f${stack}`, '/app/a.js', line, 0, [deepest])
      return deepest
    })
    const { flame } = readHeapProfile(root(...stacks), 'a').calls
    const counts: number[] = []
    for (let level = [flame.root]; level.length > 0; level = level.flatMap(({ children }) => children))
      counts.push(level.length)
    assert.deepEqual(counts.slice(0, 3), [1, 1000, 1000])
    const all = counts.reduce((sum, count) => sum + count, 0)
    assert.ok(all > 19_000 && all <= 20_000, String(all))
  })

  it('refuses what is no tree, and reads one of any depth', () => {
    for (const bad of [null, [], {}, { head: 1 }, { head: {} }, root(1 as unknown as Node)]) {
      assert.throws(() => readHeapProfile(bad, 'a'), UnreadableError)
    }
    let deep = node('leaf', '/app/a.js', 1, 1)
    for (let depth = 0; depth < 1_000_000; depth += 1) deep = node('f', '/app/a.js', 2, 1, [deep])
    assert.equal(readHeapProfile(root(deep), 'a').verdict.place?.line, 2)
  })
})
