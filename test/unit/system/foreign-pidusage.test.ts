import assert from 'node:assert/strict'
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test, type TestContext } from 'node:test'
import { User } from '../../e2e/cluster/http-client'
import { RunningCluster } from '../../e2e/cluster/running-cluster'
import { runFixture } from './run-fixture'

const root = join(__dirname, '../../..')

/** Installs this package beside a pidusage of the test's own, and returns the built folder. */
function installBeside(t: TestContext, makePidusage: (directory: string) => void): string {
  const home = mkdtempSync(join(tmpdir(), 'foreign-pidusage-'))
  t.after(() => rmSync(home, { recursive: true }))
  cpSync(join(root, 'dist'), join(home, 'dist'), { recursive: true })
  cpSync(join(root, 'package.json'), join(home, 'package.json'))
  mkdirSync(join(home, 'node_modules'))
  for (const name of ['bytes', 'limiter', 'node-gyp-build']) {
    symlinkSync(join(root, 'node_modules', name), join(home, 'node_modules', name))
  }
  const pidusage = join(home, 'node_modules', 'pidusage')
  mkdirSync(pidusage)
  makePidusage(pidusage)
  return join(home, 'dist')
}

/** The installed package with every inner file under another name; what `require('pidusage')` gives is the same. */
function rearranged(directory: string): void {
  cpSync(join(root, 'node_modules', 'pidusage'), directory, { recursive: true })
  renameSync(join(directory, 'lib'), join(directory, 'inner'))
  renameSync(join(directory, 'inner', 'helpers'), join(directory, 'inner', 'parts'))
  renameSync(join(directory, 'inner', 'parts', 'cpu.js'), join(directory, 'inner', 'parts', 'processor.js'))
  renameSync(join(directory, 'inner', 'procfile.js'), join(directory, 'inner', 'reader.js'))
  for (const file of readdirSync(directory, { recursive: true, encoding: 'utf8' })) {
    if (!file.endsWith('.js')) continue
    const path = join(directory, file)
    const text = readFileSync(path, 'utf8')
      .replaceAll("'./lib/", "'./inner/")
      .replaceAll("'./helpers/cpu'", "'./parts/processor'")
      .replaceAll("'./helpers/", "'./parts/")
      .replaceAll("'./procfile'", "'./reader'")
    rmSync(path)
    writeFileSync(path, text)
  }
}

const cannotBeLoaded = (directory: string) =>
  writeFileSync(join(directory, 'index.js'), "require('./lib/stats')\n")

const failsWhenAsked = (directory: string) =>
  writeFileSync(
    join(directory, 'index.js'),
    "module.exports = (pids, options, done) => setImmediate(done, new Error('not today'))\nmodule.exports.clear = () => {}\n",
  )

const cases = [
  {
    name: 'whose inner files have other names',
    make: rearranged,
    source: /CPU readings by pidusage$/,
    warnings: [],
  },
  {
    name: 'that cannot be loaded',
    make: cannotBeLoaded,
    source: /CPU readings by Node's counters \(pidusage failed: Cannot find module '\.\/lib\/stats'\)$/,
    warnings: [],
  },
  {
    name: 'that fails when it is asked',
    make: failsWhenAsked,
    source: /CPU readings by pidusage$/,
    warnings: [/^CPU readings come from Node's counters from now on: pidusage failed: not today$/],
  },
] as const

interface Watched {
  reason: string
  lines: string[]
}

for (const { name, make, source, warnings } of cases) {
  describe(
    `a pidusage ${name}`,
    { skip: process.platform !== 'linux' && 'pidusage is used on Linux only' },
    () => {
      test('the start line names the source of the CPU readings, and a reading trips', async (t) => {
        const dist = installBeside(t, make)
        const { result, stderr } = await runFixture<Watched>('watching.js', {
          args: [dist, join(dist, 'files')],
        })
        assert.equal(result.reason, 'limited')
        const start = result.lines.find((line) => line.startsWith('watching'))
        assert.match(start?.split('; not used')[0] ?? '', source)
        const others = result.lines.filter((line) => /pidusage/.test(line) && line !== start)
        assert.equal(others.length, warnings.length, others.join('\n'))
        warnings.forEach((pattern, index) => assert.match(others[index] ?? '', pattern))
        assert.equal(stderr, '')
      })

      test('a worker above the hard limit is replaced', async (t) => {
        const dist = installBeside(t, make)
        const options = {
          count: 2,
          minLifetime: 0,
          checkInterval: 500,
          hardLimit: '250mb',
          confirm: 1_000_000,
        }
        const running = await RunningCluster.start(
          t,
          { options },
          { env: { CLUSTER_DIST: join(dist, 'cluster') } },
        )
        await running.allReady()
        const { pid } = await new User(t, running.port).get('/leak?mb=300')
        await running.recycled(1)
        const [recycled] = running.events('recycled')
        assert.deepEqual([recycled?.pid, recycled?.reason], [pid, 'hard-limit'])
        assert.doesNotMatch(running.stderr, /pidusage/)
      })
    },
  )
}
