// 200 exits in the middle of a profile and 200 while the thread starts: the application's own exit code every time, nothing
// on stderr, never held for more than 500 ms, and a whole file whenever that was time enough.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const ROUNDS = 200
const MAX_HELD_MS = 500
/** From here on the bounded wait may have run out, as happens on a machine that gives the thread no CPU. */
const WAITED_IN_VAIN_MS = 440
/** Share of rounds in which it may. */
const MAX_IN_VAIN = 0.05
const EXITS = fileURLToPath(new URL('../../e2e/thread/programs/exits.js', import.meta.url))

function exitDuring(phase, afterMs) {
  const cwd = mkdtempSync(join(tmpdir(), 'accept-'))
  try {
    const args = [EXITS, phase, String(afterMs)]
    const { status, signal, stdout, stderr } = spawnSync(process.execPath, args, { cwd, encoding: 'utf8' })
    assert.deepEqual({ status, signal, stderr }, { status: 3, signal: null, stderr: '' })
    const heldMs = Number(/"heldMs":(\d+)/.exec(stdout)?.[1])
    assert.ok(heldMs <= MAX_HELD_MS, `held for ${heldMs} ms`)
    const profiles = readdirSync(cwd).filter((name) => name.endsWith('.cpuprofile'))
    for (const name of profiles) JSON.parse(readFileSync(join(cwd, name), 'utf8'))
    return { heldMs, files: profiles.length }
  } finally {
    rmSync(cwd, { recursive: true, force: true })
  }
}

const rounds = (phase, spreadMs) =>
  Array.from({ length: ROUNDS }, (_, round) => exitDuring(phase, Math.round((round / ROUNDS) * spreadMs)))
const worst = (exits) => Math.max(...exits.map(({ heldMs }) => heldMs))

const starting = rounds('start', 150)
const profiling = rounds('profile', 120)
const withoutFile = profiling.filter(({ files }) => files !== 1)
assert.ok(
  withoutFile.every(({ heldMs }) => heldMs >= WAITED_IN_VAIN_MS),
  'a file is missing though there was time',
)
assert.ok(withoutFile.length <= ROUNDS * MAX_IN_VAIN, `${withoutFile.length} of ${ROUNDS} without a file`)
console.log(
  `${2 * ROUNDS} exits, no abort; during a profile ${ROUNDS - withoutFile.length} of ${ROUNDS} whole files, ` +
    `held for at most ${worst(profiling)} ms; at start for at most ${worst(starting)} ms`,
)
