import assert from 'node:assert/strict'
import { appendFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { parseArtefactName, type ParsedName } from '../../../../src/files/names'
import { chooseOverflow, inOrder, openWaiting, type Waiting } from '../../../../src/hooks/s3/waiting'
import { leave } from '../../../e2e/hooks/bucket'
import { scratch } from '../../files/scratch'

function waiting(name: string, sizeBytes: number): Waiting {
  return { name: parseArtefactName(name) as ParsedName, sizeBytes }
}

const names = (chosen: readonly Waiting[]) => chosen.map(({ name }) => name.artefact)

test('the oldest dump goes first, and of one dump the smallest artefact', () => {
  const given = [
    waiting('memory-7-2000.heapsnapshot', 900),
    waiting('cpu-7-3000.cpuprofile', 5),
    waiting('memory-7-2000.heapprofile', 20),
    waiting('leak-memory-9-1000.heapsnapshot', 700),
  ]
  assert.deepEqual(names(inOrder(given)), [
    'leak-memory-9-1000.heapsnapshot',
    'memory-7-2000.heapprofile',
    'memory-7-2000.heapsnapshot',
    'cpu-7-3000.cpuprofile',
  ])
})

test('when too much waits, the oldest is deleted until it fits, but no dump by hand and not the newest', () => {
  const given = [
    waiting('memory-7-1000.heapsnapshot', 100),
    waiting('manual-memory-7-2000.heapsnapshot', 100),
    waiting('memory-7-3000.heapsnapshot', 100),
    waiting('memory-7-4000.heapprofile', 10),
    waiting('memory-7-4000.heapsnapshot', 100),
  ]
  const deleted = (maxBytes: number) => names(chooseOverflow(given, maxBytes))
  assert.deepEqual(deleted(410), [])
  assert.deepEqual(deleted(Infinity), [])
  assert.deepEqual(deleted(409), ['memory-7-1000.heapsnapshot'])
  assert.deepEqual(deleted(0), ['memory-7-1000.heapsnapshot', 'memory-7-3000.heapsnapshot'])
  assert.deepEqual(names(chooseOverflow([], 0)), [])
})

test('a file of another size than its .json has is another file; the file of that size is not', (t) => {
  const directory = scratch(t)
  const [name, other] = [leave(directory), leave(directory, { ms: 2000, bytes: 5 })]
  const why = (): string | undefined => {
    const opened = openWaiting(directory, name)
    opened?.close()
    return opened ? opened.whyAnother : 'it cannot be opened'
  }
  assert.equal(why(), undefined)
  renameSync(join(directory, other), join(directory, name))
  assert.equal(why(), 'it has 5 bytes, but 200000 according to its .json')
  appendFileSync(join(directory, name), Buffer.alloc(199_995))
  assert.equal(why(), undefined)
  writeFileSync(join(directory, `${name}.json`), JSON.stringify({ artefact: name }))
  assert.equal(why(), 'it cannot be opened')
})
