import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import type { Report } from '../../../src/dispatch/events'
import { openFleet } from '../../../src/watch/open-fleet'
import { scratch } from '../files/scratch'

function listener(): { report: Report; failures: string[] } {
  const failures: string[] = []
  const report = {
    dump: () => undefined,
    skip: () => undefined,
    notice: () => undefined,
    failure: ({ stage, message }: { stage: string; message: string }) =>
      void failures.push(`${stage} ${message}`),
  }
  return { report, failures }
}

const plan = (file: string, isRequired: boolean) => ({ file, settings: 5, isRequired, inWords: '' })

test('a budget whose entry does not load is one failure: without insurance no dump is made, else the own budget decides', async (t) => {
  const file = join(scratch(t), 'missing.js')
  for (const isRequired of [true, false]) {
    const { report, failures } = listener()
    const fleet = openFleet(plan(file, isRequired), report)
    assert.equal(failures.length, 1)
    assert.match(failures[0] ?? '', /^fleet Cannot find module /)
    const refused = { insurance: 0 }
    assert.deepEqual(fleet?.refusal('cpu'), isRequired ? refused : undefined)
    assert.deepEqual(await fleet?.take('memory'), isRequired ? { refused } : undefined)
  }
})

test('one that loads is what its entry opens, and without a plan there is none', (t) => {
  const file = join(scratch(t), 'entry.js')
  writeFileSync(file, 'exports.openFleet = (settings, report, isCutOff) => ({ opened: settings, isCutOff })')
  const { report, failures } = listener()
  assert.deepEqual(openFleet(plan(file, true), report), { opened: 5, isCutOff: false })
  assert.deepEqual(openFleet(plan(file, true), report, true), { opened: 5, isCutOff: true })
  assert.equal(openFleet(undefined, report), undefined)
  assert.deepEqual(failures, [])
})
