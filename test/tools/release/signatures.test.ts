import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { scratch } from '../../harness/program'

const none = { invalid: [], missing: [] }
const tampered = [{ name: 'limiter', version: '4.1.0', code: 'EINTEGRITYSIGNATURE' }]

/** What npm prints, the exit code, and the line that is printed. */
const CASES: readonly [string, unknown, number, RegExp][] = [
  ['all are right', none, 0, /none is wrong, none is missing/],
  ['one is wrong', { ...none, invalid: tampered }, 1, /wrong: limiter@4\.1\.0/],
  ['one is missing', { ...none, missing: tampered }, 1, /missing: limiter@4\.1\.0/],
  [
    'the keys cannot be reached',
    { error: { code: 'ENOTFOUND', summary: 'request to https://keys.example failed' } },
    0,
    /not checked: .*ENOTFOUND/,
  ],
  [
    'the registry has no keys',
    { error: { summary: 'found no dependencies to audit that were installed from a supported registry' } },
    0,
    /not checked: .*no signing keys/,
  ],
  ['npm fails otherwise', { error: { code: 'EUSAGE', summary: 'no such command' } }, 1, /no such command/],
  ['npm prints something else', 'audited 0 packages', 1, /no result/],
]

for (const [name, printed, code, line] of CASES) {
  test(`the check of signatures, when ${name}, ends with ${code}`, (t) => {
    const { status, stdout } = check(t, typeof printed === 'string' ? printed : JSON.stringify(printed))
    assert.match(stdout, line)
    assert.doesNotMatch(stdout, /https:/)
    assert.equal(status, code, stdout)
  })
}

/** Runs the check with an `npm` that prints the text. */
function check(t: TestContext, text: string): { status: number | null; stdout: string } {
  const directory = scratch(t)
  writeFileSync(join(directory, 'npm'), `#!/bin/sh\ncat <<'END'\n${text}\nEND\nexit 1\n`, { mode: 0o755 })
  const PATH = [directory, process.env.PATH].join(delimiter)
  return spawnSync(process.execPath, [join(__dirname, 'signatures.mjs')], {
    encoding: 'utf8',
    timeout: 30_000,
    env: { ...process.env, PATH },
  })
}
