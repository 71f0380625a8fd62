import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { gzipSync } from 'node:zlib'
import { openInput, streamOf } from '../../../src/reader/input'
import { loadHeap } from '../../../src/reader/snapshot/load'
import type { Heap } from '../../../src/reader/snapshot/toolkit'
import { reader, scratch, written } from './command'
import { secrets } from './programs/secrets.js'

const { folder, remove } = scratch()
const snapshot = join(folder, 'shop.heapsnapshot')
const redacted = join(folder, 'shop.redacted.heapsnapshot')

/** Names of code in the program. */
const NAMES_THAT_STAY = [
  '"Account"',
  '"ownerOfAccount"',
  '"#pinHolder"',
  '"heldByTheProgram"',
  '"secretOf"',
  'programs/secrets.js"',
]

describe('redact', () => {
  before(async () => {
    await written('e2e/reader/programs/secrets.js', snapshot)
    const { code, stdout, stderr } = await reader('redact', snapshot)
    assert.equal(code, 0, stderr)
    assert.ok(stdout.startsWith(redacted), stdout)
  })
  after(remove)

  it('leaves none of 200 and more secrets in the file, each of which is in the original', () => {
    const [original, written] = [readFileSync(snapshot), readFileSync(redacted)]
    const { planted, unseen } = secrets()
    const all = Object.entries(planted).flatMap(([place, list]) => list.map((secret) => ({ place, secret })))
    assert.ok(all.length >= 200)
    const missing = all.filter(({ secret }) => !original.includes(secret))
    assert.deepEqual(missing, [], 'secrets that are not even in the original prove nothing')
    const others = Object.entries(unseen).flatMap(([place, list]) =>
      list.map((secret) => ({ place, secret })),
    )
    const left = [...all, ...others].filter(({ secret }) => written.includes(secret))
    assert.deepEqual(left, [])
  })

  it('keeps the names of classes, properties, functions, variables and files', () => {
    const text = readFileSync(redacted, 'utf8')
    assert.deepEqual(
      NAMES_THAT_STAY.filter((name) => !text.includes(name)),
      [],
    )
  })

  it('keeps every object, its size and its references', () => {
    const [one, other] = [parse(snapshot), parse(redacted)]
    assert.deepEqual(other.snapshot, one.snapshot)
    assert.deepEqual(
      without(other.nodes, one.snapshot.meta.node_fields, 'name'),
      without(one.nodes, one.snapshot.meta.node_fields, 'name'),
    )
    assert.deepEqual(
      without(other.edges, one.snapshot.meta.edge_fields, 'name_or_index'),
      without(one.edges, one.snapshot.meta.edge_fields, 'name_or_index'),
    )
    assert.deepEqual(other.locations, one.locations)
  })

  it('is read by the analysis of DevTools with the same classes, counts, sizes and distances', async () => {
    const [one, other] = [await load(snapshot), await load(redacted)]
    assert.equal(other.totalSize, one.totalSize)
    assert.deepEqual(other.getStatistics(), one.getStatistics())
    const [before, now] = [classes(one), classes(other)]
    assert.ok(Object.keys(before).length > 100)
    assert.deepEqual(now, before)
  })

  it('writes the same from a gzipped snapshot, readable by its owner only, and nothing else', async () => {
    const packed = join(folder, 'packed.heapsnapshot.gz')
    writeFileSync(packed, gzipSync(readFileSync(snapshot), { level: 1 }))
    const out = join(folder, 'out.heapsnapshot')
    const { code, stderr } = await reader('redact', packed, '--out', out)
    assert.equal(code, 0, stderr)
    assert.ok(readFileSync(out).equals(readFileSync(redacted)))
    assert.equal(statSync(out).mode & 0o777, 0o600)
    assert.deepEqual(
      readdirSync(folder).filter((name) => !name.includes('heapsnapshot') || name.includes('partial')),
      [],
    )
  })

  it('refuses a cut snapshot, a profile and the snapshot itself, and leaves no file', async () => {
    const cut = join(folder, 'cut.heapsnapshot')
    writeFileSync(cut, readFileSync(snapshot))
    truncateSync(cut, Math.floor(statSync(snapshot).size / 2))
    const profile = join(folder, 'a.cpuprofile')
    writeFileSync(profile, '{"nodes":[]}')
    const before = readdirSync(folder)
    for (const [args, why] of [
      [['redact', cut], /cut\.heapsnapshot is not a whole heap snapshot/],
      [['redact', profile], /is no heap snapshot/],
      [['redact', snapshot, '--out', snapshot], /is the snapshot itself/],
      [['redact'], /redact takes one heap snapshot/],
    ] as const) {
      const { code, stderr } = await reader(...args)
      assert.equal(code, 1)
      assert.match(stderr, why)
    }
    assert.deepEqual(readdirSync(folder), before)
  })

  it(
    'leaves no file when the disk is full',
    { skip: process.getuid?.() !== 0 && 'needs root for a small tmpfs' },
    () => {
      const small = join(folder, 'small')
      execFileSync('mkdir', [small])
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=2m', 'tmpfs', small])
      try {
        const cli = join(__dirname, '../../../dist/reader/cli.js')
        assert.throws(
          () =>
            execFileSync(
              process.execPath,
              [cli, 'redact', snapshot, '--out', join(small, 'out.heapsnapshot')],
              { stdio: 'pipe' },
            ),
          /cannot be written: it may need \d+\.\d MB of disk space, but only 2\.\d MB are free/,
        )
        assert.deepEqual(readdirSync(small), [])
      } finally {
        execFileSync('umount', [small])
      }
    },
  )
})

interface Snapshot {
  readonly snapshot: { readonly meta: { readonly node_fields: string[]; readonly edge_fields: string[] } }
  readonly nodes: number[]
  readonly edges: number[]
  readonly locations: number[]
}

function parse(file: string): Snapshot {
  return JSON.parse(readFileSync(file, 'utf8')) as Snapshot
}

/** The items of a list without one of their fields. */
function without(list: readonly number[], fields: readonly string[], field: string): Int32Array {
  const left = list.filter((_value, at) => at % fields.length !== fields.indexOf(field))
  return Int32Array.from(left)
}

function load(file: string): Promise<Heap> {
  const input = openInput(file)
  return loadHeap({
    open: () => streamOf(input),
    sizeBytes: input.sizeBytes,
    onProgress: () => undefined,
  })
}

/** Plain objects are named after their properties, keys that were replaced among them: they are one class here. */
function classes(heap: Heap): Record<string, unknown> {
  const found: Record<string, { count: number; self: number; distances: number }> = {}
  const node = heap.createNode(0)
  for (let index = 0; index < heap.nodes.length; index += heap.nodeFieldCount) {
    node.nodeIndex = index
    const name = node.className()
    const row = (found[name.startsWith('{') ? 'Object' : name] ??= { count: 0, self: 0, distances: 0 })
    row.count += 1
    row.self += node.selfSize() + node.retainedSize()
    row.distances += node.distance()
  }
  return found
}
