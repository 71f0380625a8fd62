// The mutation score of the pure files: Stryker changes them in each small way, one at a time, and counts the changes that the unit
// tests of their room notice. A row for each room on stderr; the figure is the score of all. It fails below the least score.
// CMM_MUTATION_ROOMS (all, or names with commas), CMM_MUTATION_SURVIVORS=1 (prints each change that no test notices),
// CMM_STRYKER (a directory where Stryker is installed already). Needs the npm registry.
import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const LEAST_SCORE_PERCENT = 85

const STRYKER = ['@stryker-mutator/core@9.6.1', '@stryker-mutator/tap-runner@9.6.1']

/** The pure files of test/floors.test.ts by room, and the tests that decide. A file of types alone has nothing to change. */
const ROOMS = {
  'cluster/plan': {
    files: ['cluster/plan/*'],
    tests: ['backoff', 'candidate', 'invariants', 'reconciler', 'vacancies'].map(
      (name) => `cluster/plan/${name}`,
    ),
  },
  dispatch: { files: ['dispatch/threshold-rule'], tests: ['dispatch/threshold-rule'] },
  leak: { files: ['leak/confirmation', 'leak/trend'], tests: ['leak/confirmation', 'leak/trend'] },
  files: { files: ['files/expiry', 'files/names'], tests: ['files/expiry', 'files/names'] },
  capture: {
    files: ['capture/room', 'capture/heap/fork/verdict', 'capture/threads/busy'],
    tests: ['capture/room', 'capture/heap/fork/verdict', 'capture/threads/busy'],
  },
  makeup: {
    files: [
      'makeup/makeup',
      'makeup/memory',
      'makeup/recorder',
      'makeup/roster',
      'makeup/threads',
      'base/thread-figures',
    ],
    tests: ['memory', 'recorder', 'roster', 'sentence', 'threads'].map((name) => `makeup/${name}`),
  },
  hooks: {
    files: ['hooks/metrics/series', 'hooks/s3/key'],
    tests: ['hooks/metrics/series', 'hooks/metrics/index', 'hooks/s3/key'],
  },
  redact: { files: ['redact/names'], tests: ['redact/names'] },
  thread: { files: ['thread/beat-watch'], tests: ['thread/beat-watch'] },
}

const root = join(dirname(fileURLToPath(import.meta.url)), '../../..')
const named = process.env.CMM_MUTATION_ROOMS?.split(',') ?? Object.keys(ROOMS)
const scratch = mkdtempSync(join(tmpdir(), 'mutation-'))
try {
  const stryker = process.env.CMM_STRYKER ?? install()
  const results = named.map((room) => ({ room, ...mutate(room, stryker) }))
  const all = { killed: sum(results, 'killed'), survived: sum(results, 'survived') }
  const score = percentOf(all)
  console.log(
    `${score.toFixed(1)} % of ${all.killed + all.survived} mutants killed, at least ${LEAST_SCORE_PERCENT} %`,
  )
  process.exitCode = score >= LEAST_SCORE_PERCENT ? 0 : 1
} finally {
  rmSync(scratch, { recursive: true, force: true })
}

function install() {
  const options = ['--no-save', '--no-audit', '--no-fund', '--loglevel=error', '--prefix', scratch]
  const { status } = spawnSync('npm', ['install', ...options, ...STRYKER], {
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  if (status !== 0) throw new Error('Stryker could not be installed')
  return scratch
}

/** In a copy of the project. Its tests are bundled, all mutants in them: loading TypeScript for each mutant would take hours. */
function mutate(room, stryker) {
  const { files, tests } = ROOMS[room] ?? {}
  if (!files) throw new Error(`no such room: ${room}; there are ${Object.keys(ROOMS).join(', ')}`)
  const project = join(scratch, room.replaceAll('/', '-'))
  mkdirSync(project)
  for (const part of ['src', 'test/unit', 'test/harness', 'package.json'])
    cpSync(join(root, part), join(project, part), { recursive: true })
  symlinkSync(join(root, 'node_modules'), join(project, 'node_modules'))
  const entries = tests.map((name) => `test/unit/${name}.test.ts`)
  const bundle = [
    'esbuild',
    ...entries,
    '--bundle',
    '--platform=node',
    '--packages=external',
    '--outdir=bundled',
  ]
  const report = join(project, 'mutation.json')
  writeFileSync(
    join(project, 'stryker.config.json'),
    JSON.stringify({
      mutate: files.map((file) => `src/${file}.ts`),
      buildCommand: [...bundle, '--outbase=test/unit', '--log-level=warning'].join(' '),
      testRunner: 'tap',
      tap: {
        testFiles: ['bundled/**/*.js'],
        nodeArgs: ['--test-reporter=tap', '-r', '{{hookFile}}', '{{testFile}}'],
      },
      plugins: [join(stryker, 'node_modules/@stryker-mutator/tap-runner/dist/src/index.js')],
      coverageAnalysis: 'perTest',
      concurrency: 2,
      timeoutMS: 10_000,
      reporters: ['json'],
      jsonReporter: { fileName: report },
      tempDirName: '.sandbox',
      checkers: [],
      allowConsoleColors: false,
    }),
  )
  const command = [
    join(stryker, 'node_modules/@stryker-mutator/core/bin/stryker.js'),
    'run',
    '--logLevel',
    'warn',
  ]
  const { status, stdout } = spawnSync(process.execPath, command, {
    cwd: project,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
    maxBuffer: 1 << 26,
    timeout: 30 * 60_000,
    killSignal: 'SIGKILL',
  })
  if (status !== 0) throw new Error(`${room}: Stryker ended with ${status}\n${stdout}`)
  return count(room, JSON.parse(readFileSync(report, 'utf8')).files)
}

/** A mutant that runs into the time limit is noticed; one that cannot be compiled or run is none. */
function count(room, files) {
  const mutants = Object.entries(files).flatMap(([file, { mutants }]) =>
    mutants.map((each) => ({ ...each, file })),
  )
  const killed = mutants.filter(({ status }) => status === 'Killed' || status === 'Timeout').length
  const alive = mutants.filter(({ status }) => status === 'Survived' || status === 'NoCoverage')
  const result = { killed, survived: alive.length }
  console.error(`${room}: ${percentOf(result).toFixed(1)} % of ${killed + alive.length} mutants killed`)
  if (process.env.CMM_MUTATION_SURVIVORS)
    for (const { file, location, mutatorName, replacement } of alive)
      console.error(
        `  ${file}:${location.start.line}:${location.start.column} ${mutatorName}: ${replacement}`,
      )
  return result
}

function percentOf({ killed, survived }) {
  return (100 * killed) / Math.max(1, killed + survived)
}

function sum(results, key) {
  return results.reduce((total, result) => total + result[key], 0)
}
