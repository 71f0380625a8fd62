// The properties of the unit tests with many more runs, each time from another seed: options, environments, messages of a cluster,
// descriptions, profiles and snapshots. CMM_FUZZ_FACTOR (50), CMM_FUZZ_SEED: replays what a failure has named.
import { spawnSync } from 'node:child_process'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const FILES = ['options/any-options', 'cluster/any-message', 'reader/any-artefact']
/** A file that takes longer hangs, ms. */
const TIMEOUT_MS = 20 * 60_000

const root = join(dirname(fileURLToPath(import.meta.url)), '../../..')
const factor = process.env.CMM_FUZZ_FACTOR ?? '50'
let count = 0
for (const file of FILES) {
  const startedAt = performance.now()
  const test = join(root, 'test/unit', `${file}.test.ts`)
  const { status, stdout, error } = spawnSync(
    process.execPath,
    ['--import', 'tsx', '--test', '--test-reporter=tap', test],
    {
      cwd: root,
      encoding: 'utf8',
      env: { ...process.env, CMM_FUZZ_FACTOR: factor },
      stdio: ['ignore', 'pipe', 'inherit'],
      maxBuffer: 1 << 28,
      timeout: TIMEOUT_MS,
      killSignal: 'SIGKILL',
    },
  )
  const tests = Number(/^# tests (\d+)$/m.exec(stdout)?.[1] ?? 0)
  console.error(`${file}: ${tests} properties, ${Math.round((performance.now() - startedAt) / 1000)} s`)
  if (status !== 0 || tests === 0) {
    console.error(stdout)
    throw new Error(`${file}: ${error?.message ?? 'a property does not hold'}`)
  }
  count += tests
}
console.log(`${count} properties hold, ${factor} times the runs of npm test`)
