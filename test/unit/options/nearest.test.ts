import assert from 'node:assert/strict'
import { test } from 'node:test'
import { nearestOf } from '../../../src/options/nearest'

const NAMES = ['CMM_CPU', 'CMM_CPU_THRESHOLD', 'CMM_MEMORY_THRESHOLD', 'CMM_KEEP']

test('a typo finds the name that was meant', () => {
  for (const typo of ['CMM_CPU_TRESHOLD', 'CMM_CPU_THRESHHOLD', 'CMM_CPU_THERSHOLD'])
    assert.equal(nearestOf(typo, NAMES), 'CMM_CPU_THRESHOLD')
  assert.equal(nearestOf('CMM_KEPP', NAMES), 'CMM_KEEP')
})

test('a name that resembles none finds none', () => {
  for (const other of ['CMM_UNRELATED', 'CMM_GPU2', 'CMM'])
    assert.equal(nearestOf(other, NAMES), undefined, other)
  assert.equal(nearestOf('CMM_KEEP', []), undefined)
})
