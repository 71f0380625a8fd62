import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { test } from 'node:test'

test('the roads through the code name files that exist, and are no longer than they may be', () => {
  const out = execFileSync(process.execPath, [join(__dirname, 'roads.mjs')], { encoding: 'utf8' })
  assert.equal(out.match(/files, at most/g)?.length, 4)
})
