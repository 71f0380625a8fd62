import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'

test('a dump that was made while the loop stood still is told at exit', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'exit-tells-'))
  t.after(() => rmSync(directory, { recursive: true, force: true }))
  const program = join(__dirname, 'programs/spins-and-exits.js')
  const { code, stdout, stderr } = await new Promise<{ code: unknown; stdout: string; stderr: string }>(
    (resolve) => {
      execFile(process.execPath, [program, directory], { timeout: 120_000 }, (error, stdout, stderr) =>
        resolve({ code: error?.code, stdout, stderr }),
      )
    },
  )
  assert.equal(stderr, '')
  assert.equal(code, 3)
  const told = stdout.split('\n').filter(Boolean)
  assert.equal(told.length, 1)
  assert.ok(existsSync(told[0] ?? ''))
})
