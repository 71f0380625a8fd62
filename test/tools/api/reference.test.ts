import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { runToEnd, scratch } from '../../harness/program'

const ROOT = join(__dirname, '../../..')

test('docs/api.md is what npm run docs:api writes from the comments in the code', async (t) => {
  const directory = scratch(t)
  const typedoc = join(ROOT, 'node_modules/typedoc/bin/typedoc')
  const options = ['--tsconfig', join(__dirname, 'tsconfig.json'), '--out', directory]
  const { code, stdout, stderr } = await runToEnd([process.execPath, typedoc, ...options], { cwd: ROOT })
  assert.equal(code, 0, stdout + stderr)
  const written = readFileSync(join(directory, 'api.md'), 'utf8')
  assert.equal(readFileSync(join(ROOT, 'docs/api.md'), 'utf8'), written)
})
