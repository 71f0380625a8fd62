// Runs the test suite with the Node that runs this script. Expects a built dist/.
//
//   node test/run.mjs [--coverage] [--behaviour] [path …]
//
// --coverage    measure the lines of src/ and fail below the threshold
// --behaviour   leave out what does not depend on the Node version: pure code, lines, the packed package, the demo, DevTools itself
// path          test files or folders, default all of test/
//
// The three optional packages are built for this Node first; tests find them by CMM_TEST_PACKAGES.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

const LINES_COVERED_PERCENT = 95

/** Files that coverage cannot see, each with its reason. Whoever adds one names the test that goes red without it. */
const NOT_COVERED = {
  // Types only: nothing of them is left to run.
  'src/capture/capture.ts': 'types',
  'src/dispatch/request.ts': 'types',
  'src/capture/main-thread/orders.ts': 'types',
  'src/cluster/handle.ts': 'types',
  'src/cluster/plan/events.ts': 'types',
  'src/dispatch/events.ts': 'types',
  'src/leak/readings.ts': 'types',
  'src/reader/model.ts': 'types',
  'src/reader/page/packed.ts': 'types',
  'src/reader/snapshot/messages.ts': 'types',
  'src/thread/messages.ts': 'types',
  // Runs in a browser, which c8 does not see: test/e2e/reader/page.test.ts.
  'src/reader/page/browser.ts': 'browser',
}

/**
 * What does not depend on the version of Node.js, or has a long run of its own on all of them: `npm run accept -- attacks heap-limit`.
 */
const NODE_INDEPENDENT = [
  ...['base', 'cluster', 'dispatch', 'monitor', 'options', 'reader', 'report'].map(
    (room) => `test/unit/${room}`,
  ),
  ...['attacks', 'heap-limit', 'package', 'reader', 'cluster/mutations.test.ts'].map(
    (name) => `test/e2e/${name}`,
  ),
  // Its caches fill at the pace of Node 20's heap; on Node 22 one fills slowly enough to pass for a leak without sampling.
  'test/unit/leak',
  'test/tools',
  'test/floors.test.ts',
]

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const args = process.argv.slice(2)
const isCovered = args.includes('--coverage')
const leftOut = args.includes('--behaviour') ? NODE_INDEPENDENT : []
const paths = args.filter((arg) => !arg.startsWith('--'))
const files = (paths.length > 0 ? paths : ['test']).flatMap((path) => testFiles(join(root, path))).sort()

// Without a compiler the tests that need the fork helper skip themselves, each with this reason; CI has one.
const helper = run([join(root, 'src/native/prebuild.mjs')], { stdio: 'inherit' })
if (helper.status !== 0) {
  console.error('THE FORK HELPER DID NOT BUILD: its tests will be skipped')
  if (process.env.CI === 'true') process.exit(1)
}

const packages = run([join(root, 'test/packages/install.mjs')], { stdio: ['ignore', 'pipe', 'inherit'] })
if (packages.status !== 0) process.exit(packages.status ?? 1)

const env = { ...process.env, CMM_TEST_PACKAGES: packages.stdout.toString().trim() }
const failed = runTests(files, isCovered)
// A test that fails only beside others, on a starved machine, is a bug of its own: it is named, and has one more try alone.
const failedAgain = failed.length > 0 ? runTests(failed, false) : []
for (const file of failed) {
  console.error(failedAgain.includes(file) ? `FAILED TWICE: ${file}` : `FLAKY, passed alone: ${file}`)
}
const isCoverageEnough =
  !isCovered || failedAgain.length > 0 || run(judgeCoverage(), { stdio: 'inherit' }).status === 0
process.exit(failedAgain.length > 0 || !isCoverageEnough ? 1 : 0)

/** @returns The files in which a test failed; all of them if the run itself did not come to its end. */
function runTests(files, isCovered) {
  const directory = mkdtempSync(join(tmpdir(), 'cmm-run-'))
  const list = join(directory, 'failed')
  // One file at a time: most of them start processes that are to be busy, and two cores are not to be fought over. One test
  // that hangs must not hang the run.
  const testArgs = [
    ...['--import', 'tsx', '--test', '--test-concurrency=1', '--test-timeout=300000'],
    ...['--test-reporter=tap', '--test-reporter-destination=stdout'],
    ...[
      `--test-reporter=${join(root, 'test/harness/failed-files.mjs')}`,
      `--test-reporter-destination=${list}`,
    ],
    ...files,
  ]
  try {
    const { status } = run(isCovered ? [...c8('--reporter=text'), process.execPath, ...testArgs] : testArgs, {
      stdio: 'inherit',
      env,
    })
    const failed = readFileSync(list, 'utf8').split('\n').filter(Boolean)
    return status !== 0 && failed.length === 0 ? files : failed
  } catch (error) {
    console.error(error)
    return files
  } finally {
    rmSync(directory, { recursive: true })
  }
}

function run(command, options) {
  return spawnSync(process.execPath, command, { cwd: root, ...options })
}

/** c8 with what it has to count. A run prints its report whatever it is; the threshold waits until it is clear that tests passed. */
function c8(...command) {
  const sources = ['--all', '--src=src', '--include=src/**/*.ts', '--exclude-after-remap']
  const exclude = Object.keys(NOT_COVERED).map((file) => `--exclude=${file}`)
  return [join(root, 'node_modules/c8/bin/c8.js'), ...command, ...sources, ...exclude]
}

/** By `report`: the command `check-coverage` does not know --exclude-after-remap and sees no file of src/. */
function judgeCoverage() {
  const threshold = [`--lines=${LINES_COVERED_PERCENT}`, '--functions=0', '--branches=0', '--statements=0']
  return c8('report', '--reporter=text-summary', '--check-coverage', ...threshold)
}

function testFiles(path) {
  const name = relative(root, path)
  if (leftOut.includes(name) || ['node_modules', '.built', 'programs'].includes(basename(name))) return []
  if (statSync(path).isDirectory()) return readdirSync(path).flatMap((entry) => testFiles(join(path, entry)))
  return name.endsWith('.test.ts') ? [name] : []
}
