import assert from 'node:assert/strict'
import { execFile, execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test, type TestContext } from 'node:test'
import { promisify } from 'node:util'
import { missing, packagesDirectory } from '../../e2e/engines/program'
import { scratch } from '../../harness/program'
import { installPackage } from '../../packages/application'
import { installLibrary, repository } from './package-copy'

const FIXTURE = join(__dirname, '../../e2e/engines/programs/loads.js')

/** As little of each package as the monitor needs. */
const SOURCES = {
  'v8-profiler-next': "exports.setSamplingInterval = () => { throw new Error('no profile') }",
  heapdump:
    "exports.writeSnapshot = (file, done) => { require('node:v8').writeHeapSnapshot(file); done(null) }",
  'memwatch-next': "module.exports = new (require('node:events'))()",
}
const NAMES = Object.keys(SOURCES)

interface Loaded {
  readonly lines: readonly string[]
  readonly ways: readonly [cpu: string | undefined, memory: string | undefined]
  /** Names of the planted packages whose code ran. */
  readonly ran: readonly string[]
}

interface RunOptions {
  readonly cwd?: string
  readonly env?: NodeJS.ProcessEnv
  readonly options?: object
}

interface Scene {
  /** Holds the installed copy of the library. */
  readonly application: string
  readonly library: string
  /** A directory outside of the application. */
  readonly elsewhere: string
  /** Installs the three packages in a directory. Each writes down that it ran. */
  readonly plant: (directory: string) => void
  /** Runs an application. All that the monitor can load is loaded when it ends. */
  readonly run: (args: readonly string[], more?: RunOptions) => Promise<Loaded>
}

function scene(t: TestContext): Scene {
  const [application, elsewhere] = [scratch(t), scratch(t)]
  const library = installLibrary(application)
  const marks = join(scratch(t), 'marks')
  return {
    application,
    library,
    elsewhere,
    plant(directory) {
      for (const [name, source] of Object.entries(SOURCES)) {
        const mark = `require('node:fs').appendFileSync(${JSON.stringify(marks)}, '${name} ')`
        installPackage(directory, name, `${mark}\n${source}\n`)
      }
    },
    async run(args, { cwd = application, env = {}, options = {} } = {}) {
      const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith('NODE_'))
      const profileDir = scratch(t)
      const { stdout } = await promisify(execFile)(process.execPath, args, {
        cwd,
        timeout: 60_000,
        env: {
          ...Object.fromEntries(inherited),
          CMM_OPTIONS: JSON.stringify({ library, options: { profileDir, watchdog: false, ...options } }),
          ...env,
        },
      })
      const ran = existsSync(marks) ? readFileSync(marks, 'utf8').trim().split(' ').sort() : []
      return { ...(JSON.parse(stdout) as Omit<Loaded, 'ran'>), ran }
    },
  }
}

function write(directory: string, name: string, text: string): string {
  mkdirSync(directory, { recursive: true })
  const file = join(directory, name)
  writeFileSync(file, text)
  return file
}

const REQUIRE = `require(${JSON.stringify(FIXTURE)})`
const none = { ran: [], ways: ['inspector', 'v8'] }
const all = [...NAMES].sort()

/** Warnings of the start may come before it. */
function startLine(lines: readonly string[]): string {
  return lines.find((line) => line.startsWith('watching')) ?? ''
}

function foundNothing({ lines, ways, ran }: Loaded): void {
  assert.deepEqual({ ran, ways }, none)
  assert.ok(
    lines.some((line) => line.includes('heapdump (not installed)')),
    lines.join('\n'),
  )
  assert.ok(lines.every((line) => !line.includes('optional packages:')))
}

function foundIn(directory: string, { lines, ways, ran }: Loaded): void {
  assert.deepEqual({ ran, ways }, { ran: all, ways: ['inspector', 'heapdump'] })
  for (const name of NAMES) {
    const file = join(directory, 'node_modules', name, 'main.js')
    assert.match(startLine(lines), new RegExp(`optional packages: .*${name} from ${file}[,;]?`))
  }
}

describe('optional packages run', { concurrency: 2 }, () => {
  for (const watchdog of [true, false]) {
    test(`from above the library, and the start line names each file, watchdog: ${watchdog}`, async (t) => {
      const { application, plant, run } = scene(t)
      plant(application)
      foundIn(application, await run(['-e', REQUIRE], { cwd: '/', options: { watchdog } }))
    })
  }

  test('from above the library of an ES module', async (t) => {
    const { application, plant, run } = scene(t)
    plant(application)
    const main = write(application, 'main.mjs', `import ${JSON.stringify(FIXTURE)}`)
    foundIn(application, await run([main]))
  })

  test('from above the program, when the library is linked', async (t) => {
    const { elsewhere, plant, run } = scene(t)
    plant(elsewhere)
    const main = write(join(elsewhere, 'bin'), 'main.js', REQUIRE)
    foundIn(elsewhere, await run([main], { cwd: '/' }))
  })
})

describe('optional packages do not run', { concurrency: 2 }, () => {
  test('from the working directory and those above it', async (t) => {
    const { elsewhere, plant, run } = scene(t)
    plant(elsewhere)
    const cwd = join(elsewhere, 'below')
    mkdirSync(cwd)
    foundNothing(await run(['-e', REQUIRE], { cwd: elsewhere }))
    foundNothing(await run(['-e', REQUIRE], { cwd }))
  })

  test('from the working directory of a program that lies elsewhere', async (t) => {
    const { application, elsewhere, plant, run } = scene(t)
    plant(elsewhere)
    foundNothing(await run([write(application, 'main.js', REQUIRE)], { cwd: elsewhere }))
  })

  test('from above a link to the program', async (t) => {
    const { application, elsewhere, plant, run } = scene(t)
    plant(elsewhere)
    const link = join(elsewhere, 'link.js')
    symlinkSync(write(application, 'main.js', REQUIRE), link)
    foundNothing(await run([link]))
    foundNothing(await run(['--preserve-symlinks-main', link]))
  })

  test('from above an argument', async (t) => {
    const { elsewhere, plant, run } = scene(t)
    plant(elsewhere)
    const argument = write(join(elsewhere, 'up'), 'file.txt', '')
    foundNothing(await run(['-e', REQUIRE, argument], { cwd: '/' }))
  })

  test('from the directories that the environment names', async (t) => {
    const { elsewhere, plant, run } = scene(t)
    plant(elsewhere)
    symlinkSync('node_modules', join(elsewhere, '.node_modules'))
    const env = { NODE_PATH: join(elsewhere, 'node_modules'), HOME: elsewhere }
    foundNothing(await run(['-e', REQUIRE], { env }))
  })
})

describe('packages that the application hands over', { concurrency: 2 }, () => {
  test('are used, the others are searched for', async (t) => {
    const { application, elsewhere, library, plant, run } = scene(t)
    plant(application)
    const file = installPackage(elsewhere, 'heapdump', SOURCES.heapdump)
    const options = { profileDir: scratch(t) }
    const env = { CMM_OPTIONS: JSON.stringify({ library, handOver: { heapdump: file }, options }) }
    const { lines, ways, ran } = await run(['-e', REQUIRE], { env })
    assert.deepEqual(ways, ['inspector', 'heapdump'])
    assert.deepEqual(ran, ['memwatch-next', 'v8-profiler-next'])
    assert.ok(startLine(lines).includes(`heapdump from ${file}`), startLine(lines))
  })

  const packages = ['v8-profiler-next', 'heapdump', 'memwatch-next']
  const skip = packages.map(missing).find((reason) => reason !== false) ?? false

  for (const watchdog of [true, false]) {
    test(`make the dumps, watchdog: ${watchdog}`, { skip }, async (t) => {
      const { library, run } = scene(t)
      const handOver = Object.fromEntries(
        packages.map((name) => [name, join(packagesDirectory ?? '', 'node_modules', name)]),
      )
      const options = { profileDir: scratch(t), watchdog }
      const { lines, ways } = await run(['-e', REQUIRE], {
        env: { CMM_OPTIONS: JSON.stringify({ library, handOver, options }) },
      })
      assert.deepEqual(ways, ['v8-profiler-next', 'heapdump'], lines.join('\n'))
      for (const folder of Object.values(handOver))
        assert.ok(startLine(lines).includes(`from ${folder}`), startLine(lines))
    })
  }
})

/** Each directory around the bundle has files of the names that the monitor would load. */
test('in a bundle nothing runs that lies around it: no helper, no thread', async (t) => {
  const directory = scratch(t)
  const dist = join(directory, 'svc', 'dist')
  const mark = join(directory, 'ran')
  const planted = `require('node:fs').appendFileSync(${JSON.stringify(mark)}, __filename)`
  const outfile = join(dist, 'bundle.js')
  const library = join(repository, 'dist', 'index.js')
  const entry = write(
    directory,
    'entry.js',
    readFileSync(FIXTURE, 'utf8').replace('require(library)', `require(${JSON.stringify(library)})`),
  )
  execFileSync(join(repository, 'node_modules/.bin/esbuild'), [
    ...[entry, '--bundle', '--platform=node', '--log-level=error', `--outfile=${outfile}`],
  ])
  const name = JSON.stringify({ name: 'cpu-memory-monitor', main: 'planted.js' })
  for (const above of [dist, join(directory, 'svc'), directory]) {
    write(above, 'package.json', name)
    for (const folder of ['', 'dist/thread', 'dist/cluster']) {
      write(join(above, folder), 'watchdog-thread.js', planted)
      write(join(above, folder), 'orphan-thread.js', planted)
    }
    for (const folder of ['build/Release', 'build/Debug', `prebuilds/linux-${process.arch}`]) {
      for (const libc of ['glibc', 'musl']) {
        write(
          join(above, folder),
          `fork-helper.napi.${libc}.node`,
          'no addon, which an attempt to load it would say',
        )
      }
    }
  }
  const { stdout } = await promisify(execFile)(process.execPath, [outfile], {
    cwd: directory,
    timeout: 60_000,
    env: {
      ...process.env,
      NODE_V8_COVERAGE: '',
      CMM_OPTIONS: JSON.stringify({ options: { profileDir: directory } }),
    },
  })
  const { lines, ways } = JSON.parse(stdout) as Loaded
  assert.deepEqual(ways, ['inspector', 'v8'])
  assert.ok(!existsSync(mark))
  assert.match(startLine(lines), /not used: .*fork \(.*was the package bundled\?/)
  assert.match(startLine(lines), /on the main thread, because .*was the package bundled\?/)
})
