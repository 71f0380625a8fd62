import assert from 'node:assert/strict'
import { execFile, spawnSync } from 'node:child_process'
import path from 'node:path'
import { test, type TestContext } from 'node:test'
import { promisify } from 'node:util'
import { scratch } from '../../../harness/program'
import { whyNoHelper } from './forking-server'

const PROGRAM = path.join(__dirname, 'programs/forked-under-load.js')

const isCi = process.env.CI === 'true'
/** A round is one whole snapshot, after up to three forks. The acceptance run has 200, through the public interface. */
const ROUNDS = isCi ? 20 : 3
/** An emulated processor is some twenty times slower, and has the same code on all of them. */
const EMULATED_ROUNDS = 1
const HEAP_MEGABYTES = 8
const SECONDS_PER_ROUND = 60
const EMULATED_SECONDS_PER_ROUND = 240

interface Round {
  readonly whole: boolean
  readonly tries: readonly { readonly served: string; readonly stalled: boolean }[]
}

async function snapshotsUnderLoad(
  context: TestContext,
  [command, ...args]: readonly [string, ...string[]],
  wanted: number,
  secondsPerRound: number,
): Promise<void> {
  const { stdout, stderr } = await promisify(execFile)(
    command,
    [...args, PROGRAM, scratch(context), String(wanted), String(HEAP_MEGABYTES)],
    { timeout: wanted * secondsPerRound * 1000 },
  )
  const rounds = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Round)
  context.diagnostic(`forks for each snapshot: ${rounds.map(({ tries }) => tries.length).join(' ')}`)
  assert.equal(rounds.length, wanted)
  for (const { whole, tries } of rounds) {
    assert.ok(whole, JSON.stringify(tries))
    assert.ok(tries.every(({ served }) => served === 'served'))
  }
  assert.equal(stderr, '')
}

/** The command that runs a Node for arm64 on this machine, or why there is none. */
function arm64Node(): { command: readonly [string, ...string[]] } | { missing: string } {
  const node = process.env.CMM_ARM64_NODE
  if (node === undefined) return { missing: 'CMM_ARM64_NODE names no Node for arm64' }
  const command = ['qemu-aarch64', '-L', '/usr/aarch64-linux-gnu', node] as const
  const { status, error } = spawnSync(command[0], [...command.slice(1), '--version'], { timeout: 60_000 })
  if (status === 0) return { command }
  return { missing: `qemu-aarch64 does not run ${node}: ${error?.message ?? `code ${status}`}` }
}

const limits = {
  timeout: 1000 * Math.max(ROUNDS * SECONDS_PER_ROUND, EMULATED_ROUNDS * EMULATED_SECONDS_PER_ROUND),
}

test(
  `${ROUNDS} whole snapshots of an application under load, which is none the worse for it`,
  { skip: whyNoHelper(), ...limits },
  (context) => snapshotsUnderLoad(context, [process.execPath], ROUNDS, SECONDS_PER_ROUND),
)

const emulated = arm64Node()
test(
  `the same on arm64, as far as an emulator goes`,
  { skip: 'missing' in emulated && !isCi ? emulated.missing : false, ...limits },
  (context) => {
    assert.ok('command' in emulated, 'missing' in emulated ? emulated.missing : '')
    return snapshotsUnderLoad(context, emulated.command, EMULATED_ROUNDS, EMULATED_SECONDS_PER_ROUND)
  },
)
