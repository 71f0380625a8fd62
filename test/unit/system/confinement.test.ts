import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readConfinement } from '../../../src/system/confinement'

const LIMITS = [
  'Limit                     Soft Limit           Hard Limit           Units     ',
  'Max cpu time              unlimited            unlimited            seconds   ',
  'Max file size             1048576              unlimited            bytes     ',
  'Max address space         unlimited            unlimited            bytes     ',
].join('\n')

test('limits and filters are read from /proc', () => {
  const read = (status: string) => readConfinement((path) => (path === '/proc/self/limits' ? LIMITS : status))
  assert.deepEqual(read('Name:\tnode\nSeccomp:\t2\nSeccomp_filters:\t1'), {
    fileSizeBytes: 1_048_576,
    isFiltered: true,
  })
  assert.equal(read('Seccomp:\t0').isFiltered, false)
})

test('without /proc nothing is forbidden', () => {
  assert.deepEqual(
    readConfinement(() => undefined),
    { isFiltered: false },
  )
})
