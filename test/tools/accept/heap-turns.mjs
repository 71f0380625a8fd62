// Four processes at the threshold at once in one cgroup of 700 MB, with heaps of 22 MB: at least one whole snapshot each
// time, and every process lives. TURNS_ROUNDS sets how many rounds, 20 if absent.
import assert from 'node:assert/strict'
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { require as requireTs } from 'tsx/cjs/api'

const { limitedTo } = requireTs('../../e2e/monitor/memory-cgroup.ts', import.meta.url)

const ROUNDS = Number(process.env.TURNS_ROUNDS ?? 20)
const PROCESSES = 4
const LIMIT_BYTES = 700e6
/** Each of them may wait for two minutes. */
const LONGEST_MS = 8 * 60_000
const PROGRAM = join(import.meta.dirname, 'programs/at-threshold.cjs')

const whole = []
for (let round = 0; round < ROUNDS; round++) {
  const undo = []
  try {
    whole.push(await runRound({ after: (step) => undo.unshift(step) }))
  } finally {
    for (const each of undo) await each()
  }
}
console.log(
  `Node ${process.versions.node}: ${PROCESSES} processes at once in ${LIMIT_BYTES / 1e6} MB, ${ROUNDS} rounds, whole snapshots ` +
    `per round: ${whole.join(' ')}; every process alive`,
)
assert.ok(Math.min(...whole) >= 1)

async function runRound(context) {
  const group = limitedTo(context, LIMIT_BYTES)
  assert.ok(group.procs, group.reason)
  const directory = mkdtempSync(join(tmpdir(), 'turns-'))
  context.after(() => rmSync(directory, { recursive: true }))
  const env = { ...process.env, CGROUP_PROCS: group.procs, HEAP_MB: '22', DUMP_DIRECTORY: directory }
  const processes = Array.from({ length: PROCESSES }, () => fork(PROGRAM, { env, execArgv: [] }))
  context.after(() => Promise.all(processes.map(end)))
  await Promise.all(processes.map((each) => once(each, 'message')))
  const outcomes = await Promise.all(
    processes.map(async (each) => {
      each.send('go')
      const [outcome] = await once(each, 'message', { signal: AbortSignal.timeout(LONGEST_MS) })
      return outcome
    }),
  )
  console.log(JSON.stringify(outcomes))
  for (const each of processes) assert.deepEqual([each.exitCode, each.signalCode], [null, null])
  return readdirSync(directory).filter((name) => name.endsWith('.heapsnapshot')).length
}

async function end(process) {
  if (process.exitCode !== null || process.signalCode !== null) return
  process.kill('SIGKILL')
  await once(process, 'exit')
}
