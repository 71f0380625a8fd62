import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { repository } from './installed-package'

const LIST = 'test/e2e/package/files.txt'

/** A declaration of `dist`, which `tsc` writes for each source: not listed, since sources come and go by the day. */
const DECLARATION = /^dist\/(.*)\.d\.ts$/

const packed = (
  JSON.parse(
    execFileSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], {
      cwd: repository,
      encoding: 'utf8',
      timeout: 60_000,
    }),
  ) as [{ readonly files: readonly { readonly path: string }[] }]
)[0].files.map(({ path }) => path)

test('the package has the files of the list and no other', (t) => {
  const listed = readFileSync(join(repository, LIST), 'utf8').trimEnd().split('\n')
  const notBuilt = process.env.CI === 'true' ? [] : listed.filter(isNotBuilt)
  if (notBuilt.length > 0) t.diagnostic(`not built here, for want of a compiler: ${notBuilt.join(', ')}`)
  const expected = listed.filter((path) => !notBuilt.includes(path))
  const actual = packed.filter((path) => !DECLARATION.test(path))
  const tooMany = actual.filter((path) => !expected.includes(path))
  const missing = expected.filter((path) => !actual.includes(path))
  assert.deepEqual(
    { tooMany, missing },
    { tooMany: [], missing: [] },
    `${LIST} names the files of the package`,
  )
})

test('each declaration in the package is that of a source', () => {
  const sources = packed.flatMap((path) => DECLARATION.exec(path)?.[1] ?? [])
  assert.ok(sources.includes('index') && sources.includes('cluster/index'))
  assert.deepEqual(
    sources.filter((source) => !existsSync(join(repository, 'src', `${source}.ts`))),
    [],
  )
})

/** The helper for a processor or a C library that this machine has no compiler for. */
function isNotBuilt(path: string): boolean {
  return path.startsWith('prebuilds/') && !existsSync(join(repository, path))
}
