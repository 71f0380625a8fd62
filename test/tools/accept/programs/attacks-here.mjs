// Runs the attacks of the test suite with the Node that runs this, as often as acceptance asks, and sums them up by row.
import { spawnSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { testPackages } from './test-packages.mjs'

/** Longer than a file takes; the whole item has a deadline of its own. */
const MAX_FILE_MS = 60 * 60_000

const root = fileURLToPath(new URL('../../../..', import.meta.url))
const reporter = fileURLToPath(new URL('attack-rows.mjs', import.meta.url))
const files = readdirSync(join(root, 'test'), { recursive: true })
  .filter((file) => /(^|[\\/])attacks[\\/][^\\/]+\.test\.ts$/.test(file))
  .map((file) => join(root, 'test', file))
const args = [
  ...['--import', 'tsx', '--test', '--test-concurrency=1', `--test-timeout=${MAX_FILE_MS}`],
  ...[`--test-reporter=${reporter}`, '--test-reporter-destination=stdout', ...files.sort()],
]
const env = {
  ...process.env,
  CMM_ATTACK_ROUNDS: process.env.CMM_ATTACK_ROUNDS ?? '200',
  CMM_TEST_PACKAGES: testPackages(),
}
const { status } = spawnSync(process.execPath, args, {
  cwd: root,
  env,
  stdio: ['ignore', 'inherit', 'inherit'],
})
process.exit(status ?? 1)
