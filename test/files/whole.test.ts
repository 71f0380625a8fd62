import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { CHUNK_BYTES, checkWhole } from '../../dist/files/whole.js'
import type { ArtefactExtension } from '../../src/core/names'

const WRITER = join(__dirname, '../fixtures/files/write-evidence.js')
const directory = mkdtempSync(join(tmpdir(), 'whole-'))

before(() => execFileSync(process.execPath, [WRITER, directory]))
after(() => rmSync(directory, { recursive: true, force: true }))

function real(extension: ArtefactExtension): Buffer {
  return readFileSync(join(directory, `real${extension}`))
}

/** Why the file is refused, `undefined` if it is taken for whole. */
function fault(extension: ArtefactExtension, bytes: Uint8Array): string | undefined {
  const check = checkWhole(extension, bytes.length)
  let next = check.next()
  while (next.done !== true) {
    const { position, lengthBytes } = next.value
    next = check.next(bytes.subarray(position, position + lengthBytes))
  }
  return next.value
}

function text(extension: ArtefactExtension, content: string): string | undefined {
  return fault(extension, Buffer.from(content))
}

for (const extension of ['.cpuprofile', '.heapprofile', '.heapsnapshot'] as const) {
  test(`a real ${extension} is whole`, () => {
    assert.equal(fault(extension, real(extension)), undefined)
  })

  test(`an empty ${extension} is refused, and one of zeros`, () => {
    assert.match(fault(extension, Buffer.alloc(0)) ?? '', /empty/)
    assert.notEqual(fault(extension, Buffer.alloc(5000)), undefined)
  })

  test(`a ${extension} with zeros at its end is refused`, () => {
    assert.notEqual(fault(extension, Buffer.concat([real(extension), Buffer.alloc(1)])), undefined)
    const zeroed = Buffer.from(real(extension))
    zeroed.fill(0, zeroed.length - 512)
    assert.notEqual(fault(extension, zeroed), undefined)
  })

  test(`a ${extension} that shrinks while it is read is refused`, () => {
    const bytes = real(extension)
    const check = checkWhole(extension, bytes.length)
    let next = check.next()
    while (next.done !== true) next = check.next(bytes.subarray(0, 10))
    assert.notEqual(next.value, undefined)
  })
}

test('a real .cpuprofile cut at any byte is refused', () => {
  const bytes = real('.cpuprofile')
  for (let cut = 0; cut < bytes.length; cut += 1) {
    assert.notEqual(fault('.cpuprofile', bytes.subarray(0, cut)), undefined, `cut at ${cut}`)
  }
})

test('a real .heapprofile cut at any byte is refused, and many cuts end as the whole does', () => {
  const bytes = real('.heapprofile')
  // Prefixes of one another: one that ends elsewhere than in `}` cannot be whole, and every `}` is tried.
  const cuts = positionsAfter(bytes, '}').filter((cut) => cut < bytes.length)
  assert.ok(positionsAfter(bytes, ']}').length > 5)
  for (const cut of [...cuts, 1, 2, 3, bytes.length - 1]) {
    assert.notEqual(fault('.heapprofile', bytes.subarray(0, cut)), undefined, `cut at ${cut}`)
  }
})

test('a real .heapsnapshot cut at any byte is refused', () => {
  const bytes = real('.heapsnapshot')
  // Every cut that ends as a whole snapshot does, and for the rest, which all fail the same test, the two ends.
  const lookalikes = positionsAfter(bytes, '"]}').filter((cut) => cut < bytes.length)
  assert.ok(lookalikes.length >= 8, `the file holds ${lookalikes.length} lookalikes of its own end`)
  const ends = [...Array(3000).keys()].flatMap((count) => [count, bytes.length - 1 - count])
  for (const cut of [...lookalikes, ...ends]) {
    assert.notEqual(fault('.heapsnapshot', bytes.subarray(0, cut)), undefined, `cut at ${cut}`)
  }
})

test('a snapshot of V8 since 13, which separates strings by a comma alone, is judged alike', () => {
  const opened =
    '{"snapshot":{"meta":{"location_fields":["line","column"]},"node_count":1},\n"nodes":[1],\n"strings":["<dummy>","",'
  assert.equal(text('.heapsnapshot', `${opened}"a","b","c,"]}`), undefined)
  assert.equal(text('.heapsnapshot', `${opened}",","b","c\\\\"]}`), undefined)
  assert.match(text('.heapsnapshot', `${opened}"a","b","]}`) ?? '', /within a string/)
  assert.match(text('.heapsnapshot', `${opened}"b",",","]}`) ?? '', /within a string/)
  assert.match(text('.heapsnapshot', `${opened}",","b","]}`) ?? '', /within a string/)
  assert.match(text('.heapsnapshot', `${opened}"a","b","c\\"]}`) ?? '', /within a string/)
})

test('a snapshot whose last strings are longer than a chunk is looked at further back', () => {
  const opened =
    '{"snapshot":{"meta":{"location_fields":["column"]},"node_count":1},\n"nodes":[1],\n"strings":["<dummy>",'
  const long = `"${'x'.repeat(3 * CHUNK_BYTES)}"`
  assert.equal(text('.heapsnapshot', `${opened}"a",${long},"z"]}`), undefined)
  assert.match(text('.heapsnapshot', `${opened}"a",${long},"]}`) ?? '', /within a string/)
})

test('a snapshot cut after the meta of its header ends as a whole one does, and is refused', () => {
  assert.match(
    text('.heapsnapshot', '{"snapshot":{"meta":{"location_fields":["line","column"]}') ?? '',
    /header/,
  )
})

test('a profile without what DevTools needs is refused', () => {
  assert.match(text('.cpuprofile', '{}') ?? '', /no nodes, startTime, endTime/)
  assert.match(text('.cpuprofile', '{"a":{"nodes":[],"startTime":1,"endTime":2}}') ?? '', /no nodes/)
  assert.match(text('.heapprofile', '{"samples":[]}') ?? '', /no head/)
  assert.match(text('.heapprofile', '"head"') ?? '', /begin with a brace/)
})

test('something after the end of a profile is refused, a hole within it too', () => {
  assert.match(text('.heapprofile', '{"head":{}}{') ?? '', /follows/)
  assert.match(text('.heapprofile', '{"head":{"a":"\0\0\0"}}') ?? '', /not text/)
})

test('braces and quotes within the names of functions do not count', () => {
  assert.equal(text('.heapprofile', '{"head":{"functionName":"}\\\\\\"}]{"}}'), undefined)
  assert.match(text('.heapprofile', '{"head":{"functionName":"}}"') ?? '', /before its outermost/)
})

test('a profile of many chunks is followed across their borders', () => {
  const content = `{"head":{"children":[${'{"id":1},'.repeat(CHUNK_BYTES / 4)}{}]}}`
  assert.equal(text('.heapprofile', content), undefined)
  assert.notEqual(text('.heapprofile', content.slice(0, -1)), undefined)
})

function positionsAfter(bytes: Buffer, ending: string): number[] {
  const positions: number[] = []
  for (let at = bytes.indexOf(ending); at >= 0; at = bytes.indexOf(ending, at + 1))
    positions.push(at + ending.length)
  return positions
}
