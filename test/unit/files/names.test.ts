import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import type { DumpKind, DumpName, DumpRule } from '../../../src/files/names'
import {
  artefactBaseName,
  artefactName,
  EXTENSIONS,
  numberedName,
  parseArtefactName,
  partialName,
  sidecarName,
} from '../../../src/files/names'

const PREFIXES: readonly (readonly [DumpKind, DumpRule, string])[] = [
  ['cpu', 'threshold', 'cpu'],
  ['cpu', 'blocked', 'blocked-cpu'],
  ['cpu', 'manual', 'manual-cpu'],
  ['memory', 'threshold', 'memory'],
  ['memory', 'leak', 'leak-memory'],
  ['memory', 'manual', 'manual-memory'],
  ['memory', 'heap-limit', 'heap-limit-memory'],
]

for (const [kind, rule, prefix] of PREFIXES) {
  test(`a ${kind} dump asked for by ${rule} is named ${prefix}-<pid>-<ms>`, () => {
    assert.equal(
      artefactBaseName({ kind, rule, pid: 4711, startedAtMs: 1700000000123 }),
      `${prefix}-4711-1700000000123`,
    )
  })
}

test('the extensions are those that DevTools opens', () => {
  assert.deepEqual(EXTENSIONS, { cpu: ['.cpuprofile'], memory: ['.heapsnapshot', '.heapprofile'] })
})

test('a partial and a sidecar are named after the full file name', () => {
  assert.equal(partialName('cpu-1-2.cpuprofile'), 'cpu-1-2.cpuprofile.partial')
  assert.equal(sidecarName('cpu-1-2.cpuprofile'), 'cpu-1-2.cpuprofile.json')
})

const dumps: fc.Arbitrary<DumpName> = fc
  .record({ of: fc.constantFrom(...PREFIXES), pid: fc.maxSafeNat(), startedAtMs: fc.maxSafeNat() })
  .map(({ of: [kind, rule], pid, startedAtMs }) => ({ kind, rule, pid, startedAtMs }))

test('what was built parses back, as artefact, partial and sidecar', () => {
  fc.assert(
    fc.property(dumps, fc.nat({ max: 1 }), (dump, choice) => {
      const baseName = artefactBaseName(dump)
      const extension = EXTENSIONS[dump.kind][choice] ?? EXTENSIONS[dump.kind][0]
      const artefact = `${baseName}${extension ?? ''}`
      const expected = { ...dump, extension, baseName, artefact, prefix: baseName.split(/-\d/)[0] }
      assert.deepEqual(parseArtefactName(artefact), { ...expected, part: 'artefact' })
      assert.deepEqual(parseArtefactName(partialName(artefact)), { ...expected, part: 'partial' })
      assert.deepEqual(parseArtefactName(sidecarName(artefact)), { ...expected, part: 'sidecar' })
    }),
  )
})

test('a numbered name parses as the same dump, with its own artefact', () => {
  const name = numberedName('leak-memory-7-1000.heapsnapshot', 2)
  assert.equal(name, 'leak-memory-7-1000-2.heapsnapshot')
  for (const [file, part] of [
    [name, 'artefact'],
    [partialName(name), 'partial'],
    [sidecarName(name), 'sidecar'],
  ] as const) {
    const parsed = parseArtefactName(file)
    assert.deepEqual(
      [parsed?.artefact, parsed?.baseName, parsed?.part, parsed?.startedAtMs],
      [name, 'leak-memory-7-1000', part, 1000],
    )
  }
})

test('the files of worker threads belong to the dump of the main thread', () => {
  const name = artefactName('cpu-7-1000', '.cpuprofile', 3)
  assert.equal(name, 'cpu-7-1000-worker-3.cpuprofile')
  const parsed = parseArtefactName(sidecarName(numberedName(name, 2)))
  assert.deepEqual(
    [parsed?.artefact, parsed?.baseName, parsed?.worker],
    ['cpu-7-1000-worker-3-2.cpuprofile', 'cpu-7-1000', 3],
  )
  assert.equal(parseArtefactName(artefactName('cpu-7-1000', '.cpuprofile'))?.worker, undefined)
})

test('a name that parses is spelled as it would be built', () => {
  const nearNames = fc.stringMatching(
    /^(leak-|manual-|blocked-)?(cpu|memory)-\d{1,17}-\d{1,17}\.(cpuprofile|heapsnapshot)$/,
  )
  fc.assert(
    fc.property(nearNames, (fileName) => {
      const name = parseArtefactName(fileName)
      if (name !== undefined) assert.equal(artefactBaseName(name) + name.extension, fileName)
    }),
  )
})

for (const stranger of [
  '',
  'cpu-1-2',
  'cpu-1-2.heapsnapshot',
  'memory-1-2.cpuprofile',
  'cpu-01-2.cpuprofile',
  'cpu-1-2-worker-03.cpuprofile',
  'cpu-1-2-worker-.cpuprofile',
  'cpu-1-2-2-worker-3.cpuprofile',
  'cpu-1-2-worker-a.cpuprofile',
  'cpu-1-02.cpuprofile',
  'cpu-1-9007199254740993.cpuprofile',
  'cpu--1-2.cpuprofile',
  'cpu-1-2-1.cpuprofile',
  'cpu-1-2-02.cpuprofile',
  'cpu-1-2-3-4.cpuprofile',
  'cpu-1-2-1000000000.cpuprofile',
  'cpu-1-2.cpuprofile.partial.json',
  'cpu-1-2.cpuprofile.json.partial',
  'cpu-1-2.cpuprofile\n',
  'leak-cpu-1-2.cpuprofile',
  'blocked-memory-1-2.heapsnapshot',
  'threshold-cpu-1-2.cpuprofile',
  'Cpu-1-2.cpuprofile',
  '../cpu-1-2.cpuprofile',
  'my--memory-1-2.heapsnapshot',
  'My-memory-1-2.heapsnapshot',
  `${'a'.repeat(33)}-memory-1-2.heapsnapshot`,
  'Heap.20261122.104817.1.0.001.heapsnapshot',
]) {
  test(`${JSON.stringify(stranger)} is not ours`, () => {
    assert.equal(parseArtefactName(stranger), undefined)
  })
}

describe('a dump of a rule with a name', () => {
  for (const rule of ['heap-high', 'x', 'a-cpu', 'cpu-7-8', '9', 'a'.repeat(32)])
    test(`${rule} is named after it, and parses back`, () => {
      const dump = { kind: 'memory', rule, pid: 7, startedAtMs: 1000 } as const
      const artefact = `${artefactBaseName(dump)}.heapsnapshot`
      assert.equal(artefact, `${rule}-memory-7-1000.heapsnapshot`)
      const parsed = parseArtefactName(artefact)
      assert.deepEqual(
        [parsed?.rule, parsed?.kind, parsed?.pid, parsed?.prefix],
        [rule, 'memory', 7, `${rule}-memory`],
      )
    })
})
