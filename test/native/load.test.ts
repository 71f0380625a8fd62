import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import path from 'node:path'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { temporaryDirectory, whyNoHelper } from './forking-server'

const PROGRAM = path.join(__dirname, '..', 'fixtures', 'native', 'forked-under-load.js')

/** More in CI and in the acceptance run. A round is one whole snapshot, after up to three forks. */
const ROUNDS = Number(process.env.FORK_ROUNDS ?? 3)
const HEAP_MEGABYTES = Number(process.env.FORK_HEAP_MEGABYTES ?? 12)
const SECONDS_PER_ROUND = 60

interface Round {
  readonly whole: boolean
  readonly tries: readonly { readonly served: string; readonly stalled: boolean }[]
}

test(
  `${ROUNDS} whole snapshots of an application under load, which is none the worse for it`,
  { skip: whyNoHelper() },
  async (context) => {
    const { stdout, stderr } = await promisify(execFile)(
      process.execPath,
      [PROGRAM, temporaryDirectory(context), String(ROUNDS), String(HEAP_MEGABYTES)],
      { timeout: ROUNDS * SECONDS_PER_ROUND * 1000 },
    )
    const rounds = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Round)
    context.diagnostic(`forks for each snapshot: ${rounds.map(({ tries }) => tries.length).join(' ')}`)
    assert.equal(rounds.length, ROUNDS)
    for (const { whole, tries } of rounds) {
      assert.ok(whole, JSON.stringify(tries))
      assert.ok(tries.every(({ served }) => served === 'served'))
    }
    assert.equal(stderr, '')
  },
)
