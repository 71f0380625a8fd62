import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseArtefactName, type ParsedName } from '../../../../src/files/names'
import { chooseOverflow, inOrder, type Waiting } from '../../../../src/hooks/s3/waiting'

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
