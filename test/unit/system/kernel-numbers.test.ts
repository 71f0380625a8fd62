import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import {
  parseAllowedCpus,
  parseAmount,
  parseCpuMax,
  parseKeyed,
  parseMeminfo,
  parsePositive,
  parseQuota,
} from '../../../src/system/proc'

test('a positive number, or nothing', () => {
  assert.equal(parsePositive('1073741824\n'), 1_073_741_824)
  for (const text of ['max\n', '', '0', '-1', '1.5', '1e9', '0x10', '12 34', 'NaN', '9'.repeat(400)]) {
    assert.equal(parsePositive(text), undefined, text)
  }
})

test('an amount may be 0', () => {
  assert.deepEqual(['0\n', '7', '-1', ''].map(parseAmount), [0, 7, undefined, undefined])
})

test('one key of several that begin alike', () => {
  const stat = 'inactive_file_x 1\ntotal_inactive_file 2\ninactive_file 3\ninactive_file 4\n'
  assert.equal(parseKeyed(stat, 'inactive_file'), 3)
  assert.equal(parseKeyed(stat, 'active_file'), undefined)
})

test('meminfo, in bytes', () => {
  const meminfo =
    'MemTotal:       24684084 kB\nMemAvailable:          0 kB\nHugePages_Total:       3\nTorn: 12 k'
  assert.equal(parseMeminfo(meminfo, 'MemTotal'), 24_684_084 * 1024)
  assert.equal(parseMeminfo(meminfo, 'MemAvailable'), 0)
  assert.equal(parseMeminfo(meminfo, 'Torn'), undefined)
  assert.equal(parseMeminfo(meminfo, 'MemFree'), undefined)
})

test('quotas, in cores', () => {
  assert.equal(parseCpuMax('150000 100000\n'), 1.5)
  for (const text of ['max 100000', 'max', '', '100000', '1 0', '-1 100000', '1 2 3']) {
    assert.equal(parseCpuMax(text), undefined, text)
  }
  assert.equal(parseQuota('50000\n', '100000\n'), 0.5)
  assert.equal(parseQuota('-1\n', '100000\n'), undefined)
})

test('the CPUs of a list', () => {
  const count = (list: string) =>
    parseAllowedCpus(`Name:\tnode\nCpus_allowed_list:\t${list}\nMems_allowed:\t1\n`)
  assert.deepEqual(['0', '0-1', '0-3,8', '1,3,5-7'].map(count), [1, 2, 5, 5])
  for (const list of ['', '3-1', '1,', '-', '1-2-3', 'a', `0-${'9'.repeat(400)}`]) {
    assert.equal(count(list), undefined, list)
  }
})

describe('whatever the text: no error, no NaN, no infinity, nothing negative', () => {
  const digits = fc.stringMatching(/^\d{0,400}$/)
  const pieces = fc.oneof(
    digits,
    fc.constantFrom('max', '-1', ' ', '\n', '-', ',', ' kB', 'key ', 'key: ', 'Cpus_allowed_list:\t'),
    fc.string(),
  )
  const text = fc.array(pieces, { maxLength: 8 }).map((parts) => parts.join(''))
  const parsers: Record<string, (text: string) => number | undefined> = {
    parsePositive,
    parseAmount,
    parseCpuMax,
    parseAllowedCpus,
    parseKeyed: (given) => parseKeyed(given, 'key'),
    parseMeminfo: (given) => parseMeminfo(given, 'key'),
    parseQuota: (given) => parseQuota(given, given),
    'parseQuota with a period': (given) => parseQuota(given, '100000'),
  }
  for (const [name, parse] of Object.entries(parsers)) {
    test(name, () => {
      fc.assert(
        fc.property(text, (given) => {
          const value = parse(given)
          assert.ok(value === undefined || (Number.isFinite(value) && value >= 0), `${String(value)}`)
        }),
      )
    })
  }
})
