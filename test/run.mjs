// Runs the test suite with the Node that runs this script. Expects a built dist/.
//
//   node test/run.mjs [--long] [--coverage] [--behaviour] [path …]
//
// --long        run the long files as well: emulators, browsers, campaigns, timed runs
// --coverage    measure the lines of src/ and fail below the threshold
// --behaviour   leave out what does not depend on the Node version: pure code, lines, the packed package, the demo, DevTools
// path          test files or folders, which may be long; default: all of test/
//
// The three optional packages are built for this Node first; tests find them by CMM_TEST_PACKAGES.
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, rmSync, statSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { basename, delimiter, dirname, join, relative } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

const LINES_COVERED_PERCENT = 95

/** Files that coverage cannot see, each with its reason. Whoever adds one names the test that goes red without it. */
const NOT_COVERED = {
  // Types only: nothing of them is left to run.
  'src/capture/main-thread/orders.ts': 'types',
  'src/cluster/handle.ts': 'types',
  'src/cluster/plan/events.ts': 'types',
  'src/dispatch/events.ts': 'types',
  'src/leak/readings.ts': 'types',
  'src/reader/model.ts': 'types',
  'src/reader/page/packed.ts': 'types',
  'src/reader/snapshot/messages.ts': 'types',
  // Runs in a browser, which c8 does not see: test/e2e/reader/page.test.ts.
  'src/reader/page/browser.ts': 'browser',
}

/** What takes long, each with its reason: `.ci/run` runs it, `npm test` does not. */
const LONG = [
  // Chromium.
  ...['test/tools/devtools', 'test/e2e/reader'],
  // An emulated processor, sanitizers, dozens of forks.
  ...['native', 'load.test.ts', 'blocked-during-snapshot.test.ts'].map((name) => `test/e2e/fork/${name}`),
  // Heaps that fill up to V8's limit; `npm run accept -- heap-limit` does it on every Node.
  ...['test/e2e/heap-limit', 'test/e2e/cluster/heap-limit.test.ts'],
  // A second user of the machine, and races run again and again; `npm run accept -- attacks` does it on every Node.
  'test/e2e/attacks',
  // Real heaps, again and again, or minute by minute.
  ...['test/unit/reader/report.test.ts', 'test/e2e/cluster/dump.test.ts'],
  'test/unit/leak/watch.test.ts',
  // The whole suite of replacements against mutants, and under load with each framework and each way to hand a socket over.
  ...['mutations', 'frameworks', 'handed-sockets'].map((name) => `test/e2e/cluster/${name}.test.ts`),
  // Overload that has to last until budgets are spent, hangs and leaks that have to last, and faults one after the other.
  ...['monitor/permanent-overload', 'monitor/leak', 'thread/blocked', 'cluster/faults'].map(
    (name) => `test/e2e/${name}.test.ts`,
  ),
  // Processes that wait for each other's turn.
  'test/unit/system/turn.test.ts',
  // A fleet of processes; `npm run accept -- fleet-budget` has a larger one.
  'test/e2e/hooks/redis.test.ts',
  // A real S3, which takes long to start; killed, restarted, throttled or told the wrong time, and times until the next attempt.
  ...['s3', 's3-redact', 's3-faults', 's3-surroundings'].map((name) => `test/e2e/hooks/${name}.test.ts`),
  // A profile of a minute, and one program for each guilty part; `npm run accept -- makeup` has those on every Node.
  ...['unit/capture/cpu/long-stretch', 'e2e/monitor/makeup', 'e2e/monitor/event-loop-rules'].map(
    (name) => `test/${name}.test.ts`,
  ),
  // Heaps and profiles of many worker threads, one after the other.
  ...['worker-heaps', 'workers'].map((name) => `test/e2e/thread/${name}.test.ts`),
  // Each optional package, flag of Node.js, tampered global or foreign pidusage in processes of its own.
  ...['engines/behaviour', 'monitor/hostile-globals', 'thread/surroundings'].map(
    (name) => `test/e2e/${name}.test.ts`,
  ),
  'test/unit/system/foreign-pidusage.test.ts',
  // Pack the package and install it as users do; the last two install other packages beside it.
  ...['package', 'bundlers', 'examples'].map((name) => `test/e2e/package/${name}.test.ts`),
  // Typedoc reads the types of the whole code.
  'test/tools/api',
]

/**
 * What does not depend on the version of Node.js, or has a long run of its own on all of them: `npm run accept -- attacks heap-limit`.
 */
const NODE_INDEPENDENT = [
  ...['base', 'cluster', 'dispatch', 'doctor', 'hooks', 'monitor', 'options', 'reader', 'report'].map(
    (room) => `test/unit/${room}`,
  ),
  ...['attacks', 'heap-limit', 'hooks', 'metrics', 'package', 'reader'].map((name) => `test/e2e/${name}`),
  ...['cluster/mutations', 'fork/native/host', 'monitor/permanent-overload'].map(
    (name) => `test/e2e/${name}.test.ts`,
  ),
  // Its caches fill at the pace of Node 20's heap; on Node 22 one fills slowly enough to pass for a leak without sampling.
  'test/unit/leak',
  'test/tools',
  'test/floors.test.ts',
]

/**
 * Folders whose tests share one process each, those below them included: they start next to no processes, and loading tsx would
 * take longer than they do.
 */
const TOGETHER = [
  ...['base', 'cluster/drain', 'cluster/plan', 'dispatch', 'files', 'makeup', 'monitor', 'options', 'redact'],
  ...['capture/heap/limit', 'capture/main-thread', 'capture/threads', 'hooks/metrics', 'reader/profile'],
  ...['report', 'thread', 'watch'],
]
  .map((room) => `test/unit/${room}`)
  .concat('test/tools/bench')

/** A test file that takes longer hangs, ms. */
const FILE_TIMEOUT_MS = 600_000

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const args = process.argv.slice(2)
const isCovered = args.includes('--coverage')
const paths = args.filter((arg) => !arg.startsWith('--'))
const leftOut = [
  ...(args.includes('--behaviour') ? NODE_INDEPENDENT : []),
  ...(args.includes('--long') || paths.length > 0 ? [] : LONG),
]
const files = (paths.length > 0 ? paths : ['test']).flatMap((path) => testFiles(join(root, path)))

// Without a compiler the tests that need the fork helper skip themselves, each with this reason; CI has one.
const helper = run([join(root, 'src/native/prebuild.mjs')], { stdio: 'inherit' })
if (helper.status !== 0) {
  console.error('THE FORK HELPER DID NOT BUILD: its tests will be skipped')
  if (process.env.CI === 'true') process.exit(1)
}

const packages = run([join(root, 'test/packages/install.mjs')], { stdio: ['ignore', 'pipe', 'inherit'] })
if (packages.status !== 0) process.exit(packages.status ?? 1)

// npm puts the node_modules/.bin of each directory above into PATH, /tmp/node_modules/.bin for a clone there. Other users can make
// that one, and pidusage is not used with such a PATH.
const PATH = (process.env.PATH ?? '')
  .split(delimiter)
  .filter((entry) => !entry.endsWith(join('node_modules', '.bin')))
  .join(delimiter)
const env = { ...process.env, PATH, CMM_TEST_PACKAGES: packages.stdout.toString().trim() }
const coverage = join(root, 'coverage')
rmSync(coverage, { recursive: true, force: true })

const passed = new Set()
await runSideBySide(groupsOf(files), isCovered ? { ...env, NODE_V8_COVERAGE: join(coverage, 'tmp') } : env)
// A test that fails only beside others, on a starved machine, is a bug of its own: it is named, and has one more try alone.
const failed = files.filter((file) => !passed.has(file))
for (const file of failed) await runGroup([file], env)
for (const file of failed) {
  console.log(passed.has(file) ? `FLAKY, passed alone: ${file}` : `FAILED TWICE: ${file}`)
}
const isGreen = passed.size === files.length
process.exit(isGreen && (!isCovered || isCoverageEnough()) ? 0 : 1)

/** Runs three groups at a time for two processors, the long ones first: most tests wait for a good part of their time. */
async function runSideBySide(groups, env) {
  const waiting = [...groups]
  const lane = async () => {
    for (let group = waiting.shift(); group; group = waiting.shift()) await runGroup(group, env)
  }
  await Promise.all(Array.from({ length: Math.ceil(1.5 * availableParallelism()) }, lane))
}

/** Runs files in one process. Prints one line, the skipped tests with their reasons, and all output of a failure. */
async function runGroup(group, env) {
  const startMs = performance.now()
  const script = group.length > 1 ? [join(root, 'test/harness/together.cjs'), ...group] : group
  const child = spawn(process.execPath, ['--import', 'tsx', '--test-reporter=tap', ...script], {
    cwd: root,
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: FILE_TIMEOUT_MS,
    killSignal: 'SIGKILL',
  })
  let output = ''
  child.stdout.on('data', (text) => (output += text))
  child.stderr.on('data', (text) => (output += text))
  // A program that a hanging file has left behind may keep the pipes open.
  await Promise.race([once(child, 'close'), once(child, 'exit').then(() => pause(5000))])
  const code = child.exitCode ?? child.signalCode
  const tests = Number(/^# tests (\d+)$/m.exec(output)?.[1] ?? 0)
  const isPassed = code === 0 && tests > 0
  if (isPassed) for (const file of group) passed.add(file)

  const seconds = ((performance.now() - startMs) / 1000).toFixed(1).padStart(6)
  const verdict = isPassed ? 'passed' : `FAILED with ${code} after`
  console.log(`${verdict} ${String(tests).padStart(4)} tests ${seconds} s  ${nameOf(group)}`)
  if (!isPassed) console.log(output)
  for (const [line] of output.matchAll(/^ *ok .* # SKIP.*$/gm)) console.log(`    skipped: ${line.trim()}`)
}

function nameOf(group) {
  const [first = ''] = group
  return group.length > 1
    ? `${TOGETHER.find((room) => first.startsWith(`${room}/`))} (${group.length} files)`
    : first
}

/** The files below a folder of TOGETHER are one group, each other file is one. Long ones come first, so that none ends alone. */
function groupsOf(files) {
  const isLong = (file) => LONG.some((entry) => file === entry || file.startsWith(`${entry}/`))
  const ranked = [
    files.filter(isLong),
    files.filter((file) => !isLong(file) && file.startsWith('test/e2e/')),
    files.filter((file) => !isLong(file) && !file.startsWith('test/e2e/')),
  ].flat()
  const groups = new Map()
  for (const file of ranked) {
    const key = TOGETHER.find((room) => file.startsWith(`${room}/`)) ?? file
    groups.set(key, [...(groups.get(key) ?? []), file])
  }
  return [...groups.values()]
}

function run(command, options) {
  return spawnSync(process.execPath, command, { cwd: root, ...options })
}

/** By `report`: the command `check-coverage` does not know --exclude-after-remap and sees no file of src/. */
function isCoverageEnough() {
  const threshold = [`--lines=${LINES_COVERED_PERCENT}`, '--functions=0', '--branches=0', '--statements=0']
  const sources = ['--all', '--src=src', '--include=src/**/*.ts', '--exclude-after-remap']
  const exclude = Object.keys(NOT_COVERED).map((file) => `--exclude=${file}`)
  const command = ['report', '--reporter=text', '--check-coverage', ...threshold, ...sources, ...exclude]
  return run([join(root, 'node_modules/c8/bin/c8.js'), ...command], { stdio: 'inherit' }).status === 0
}

function testFiles(path) {
  const name = relative(root, path)
  if (leftOut.includes(name) || ['node_modules', '.built', 'programs'].includes(basename(name))) return []
  if (statSync(path).isDirectory()) return readdirSync(path).flatMap((entry) => testFiles(join(path, entry)))
  return name.endsWith('.test.ts') ? [name] : []
}
