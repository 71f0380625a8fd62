// The heap of the main thread after 200 memory dumps is as large as after the first of them: a dump leaves nothing behind.
// CMM_COUNT (200), at least 30.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parameter } from './programs/forking.mjs'

const LARGEST_DIFFERENCE_BYTES = 50 * 1024
const PROGRAM = fileURLToPath(new URL('programs/dumps-heap.cjs', import.meta.url))

const count = parameter('CMM_COUNT', 200)
assert.ok(count >= 30, 'CMM_COUNT is at least 30')
const directory = mkdtempSync(join(tmpdir(), 'accept-'))
try {
  const difference = Number(execFileSync(process.execPath, [PROGRAM, directory, String(count)]))
  console.log(`${count} dumps: ${(difference / 1024).toFixed(1)} KB more heap than after the twentieth`)
  assert.ok(Math.abs(difference) <= LARGEST_DIFFERENCE_BYTES)
} finally {
  rmSync(directory, { recursive: true, force: true })
}
